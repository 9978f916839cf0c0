"""
What the machines share: a registry that may be reopened.
"""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from postgres_server import server

from lashstore import ManualClock, ProcessRegistry

from .kit import NOW_MS, QUICK

SHORT = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
# A server takes ten times as long for each step.
SHORT_ON_SERVER = settings(SHORT, max_examples=6, stateful_step_count=30)
CAMPAIGN = settings(
    SHORT,
    max_examples=int(os.environ.get("LASHSTORE_CAMPAIGN_EXAMPLES", "1000")),
    stateful_step_count=80,
)


class RegistryMachine(RuleBasedStateMachine):
    """
    A registry on a file or a server, and a clock that goes forward.
    """

    on_server = False

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lash-processes-"))
        self.clock = ManualClock(NOW_MS)
        self.registry = self._open()

    def _open(self):
        address = server().url() if self.on_server else self.folder / "p.db"
        return ProcessRegistry.open(address, clock=self.clock, options=QUICK)

    @property
    def now_ms(self):
        """
        The time it is.
        """
        return self.clock.now_ms()

    @rule(ms=st.sampled_from([1, 49, 50, 1_000]))
    def time_passes(self, ms):
        """
        Let leases run out.
        """
        self.clock.advance(ms)

    @rule()
    def reopen(self):
        """
        Close the registry and open it again.
        """
        self.registry.close()
        self.registry = self._open()

    def teardown(self):
        """
        Leave nothing behind.
        """
        self.registry.close()
        shutil.rmtree(self.folder)
        if self.on_server:
            server().clear()

"""
What the machines share: a registry on a file that may be reopened.
"""

import os
import shutil
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from lashstore import ManualClock, ProcessRegistry

from .kit import NOW_MS, QUICK

SHORT = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
CAMPAIGN = settings(
    SHORT,
    max_examples=int(os.environ.get("LASHSTORE_CAMPAIGN_EXAMPLES", "1000")),
    stateful_step_count=80,
)


class RegistryMachine(RuleBasedStateMachine):
    """
    A registry on a file, and a clock that goes forward.
    """

    def __init__(self):
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="lash-processes-"))
        self.clock = ManualClock(NOW_MS)
        self.registry = self._open()

    def _open(self):
        return ProcessRegistry.open(
            self.folder / "p.db", clock=self.clock, options=QUICK
        )

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
        Close the file and open it again.
        """
        self.registry.close()
        self.registry = self._open()

    def teardown(self):
        """
        Leave nothing behind.
        """
        self.registry.close()
        shutil.rmtree(self.folder)

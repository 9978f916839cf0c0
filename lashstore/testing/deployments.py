"""
All the stores of one host under test, restarted and killed at will.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, NoReturn

from lashstore import (
    EffectHost,
    EffectReplayOptions,
    ManualClock,
    ProcessRegistry,
    SessionStoreFactory,
    Store,
    StoreOptions,
    Synchronous,
    TriggerStore,
)

NOW_MS = 1_700_000_000_000

# No test cuts the power, so none waits for the disk.
_QUICK = StoreOptions(synchronous=Synchronous.NORMAL)
_LONGEST_S = 60
_CHILD = "from lashstore.testing.deployments import run_child; run_child()"


class Deployment:
    """
    Sessions, processes, triggers and effects in one place, on one clock.

    Each store is opened when it is first asked for, with `Synchronous.NORMAL`.

        def half_a_turn(deployment, text):
            store = deployment.open_store()
            store.enqueue_pending_turn_input(next_turn_draft(text))
            die()

        def test_what_was_said_survives(lashstore_deployment):
            lashstore_deployment.crash(half_a_turn, "hello")
            store = lashstore_deployment.open_store()
            assert len(store.list_pending_turn_inputs()) == 1
    """

    def __init__(self, target: str | Path, clock: ManualClock | None = None) -> None:
        """
        Args:
            target: A folder, made if it is absent; or the address of a
                PostgreSQL database.

            clock: None: one that stands at `NOW_MS`.
        """
        self.target: str | Path = target
        self.clock: ManualClock = clock or ManualClock(NOW_MS)

    @cached_property
    def factory(self) -> SessionStoreFactory:
        """
        The sessions.
        """
        return SessionStoreFactory(
            self._place("sessions"), options=_QUICK, clock=self.clock
        )

    @cached_property
    def registry(self) -> ProcessRegistry:
        """
        The background processes.
        """
        return ProcessRegistry.open(
            self._place("processes.db"), options=_QUICK, clock=self.clock
        )

    @cached_property
    def triggers(self) -> TriggerStore:
        """
        The triggers.
        """
        return TriggerStore.open(
            self._place("triggers.db"), options=_QUICK, clock=self.clock
        )

    @cached_property
    def effects(self) -> EffectHost:
        """
        The recorded effects.
        """
        return EffectHost.open(
            self._place("effects.db"),
            options=EffectReplayOptions(store=_QUICK),
            clock=self.clock,
        )

    def open_store(self, session_id: str = "session") -> Store:
        """
        Open a session, made if it does not exist.

        Raises:
            As `lashstore.SessionStoreFactory.create_store`.
        """
        return self.factory.create_store(session_id)

    def restart(self) -> None:
        """
        Close every store, as a host does that ends in good order; what is
        asked for next is opened anew. Leases stay as they are.
        """
        for name in ("factory", "registry", "triggers", "effects"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                opened.close()

    close = restart

    def crash(self, function: Callable[..., object], *arguments: Any) -> None:
        """
        Run a host in a process of its own that ends by SIGKILL.

        The process calls `function(deployment, *arguments)` with this
        deployment's place, and a clock that stands where this one does. It is
        killed where the function calls `lashstore.testing.die()`, or where it
        returns. Nothing is closed, released or rolled back by anybody.

        What it prints is printed here. The stores that are open here stay
        open: they are another host's.

        Args:
            function: Of the top level of a module that can be imported.

            arguments: What JSON can carry.

        Raises:
            ValueError: The function cannot be found by its name.
            TypeError: An argument is no JSON.
            AssertionError: The function raised, and the message has the traceback, or
                took longer than a minute.
        """
        job = {
            "path": sys.path,
            "module": function.__module__,
            "name": _name_of(function),
            "target": str(self.target),
            "now_ms": self.clock.now_ms(),
            "arguments": arguments,
        }
        try:
            done = subprocess.run(  # noqa: S603, this very Python
                [sys.executable, "-c", _CHILD],
                input=json.dumps(job),
                capture_output=True,
                text=True,
                timeout=_LONGEST_S,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            msg = f"{job['name']} did not come to its end in {_LONGEST_S} s"
            raise AssertionError(msg) from error
        sys.stdout.write(done.stdout)
        if done.returncode != -signal.SIGKILL:
            msg = f"{job['name']} did not live to be killed:\n{done.stderr}"
            raise AssertionError(msg)
        sys.stderr.write(done.stderr)

    def _place(self, name: str) -> str | Path:
        if isinstance(self.target, str) and "://" in self.target:
            return self.target
        return Path(self.target) / name


def _name_of(function: Callable[..., object]) -> str:
    name = getattr(function, "__name__", "")
    module = sys.modules.get(function.__module__)
    if function.__module__ == "__main__" or getattr(module, name, None) is not function:
        msg = (
            f"{function!r} cannot be imported by another process: it must stand "
            "at the top level of a module"
        )
        raise ValueError(msg)
    return name


def die() -> NoReturn:
    """
    End this process here and now by SIGKILL: for functions that are given to
    `Deployment.crash`.
    """
    # What was printed would be lost with the process.
    sys.stdout.flush()
    sys.stderr.flush()
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def run_child() -> None:
    """
    Do what `Deployment.crash` asks for, in its process.
    """
    job = json.load(sys.stdin)
    sys.path[:] = job["path"]
    function = getattr(importlib.import_module(job["module"]), job["name"])
    deployment = Deployment(job["target"], ManualClock(job["now_ms"]))
    function(deployment, *job["arguments"])
    die()

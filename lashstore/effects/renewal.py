"""
Renewal of claims beside the work they are for.
"""

import logging
import threading
import time
from collections.abc import Callable

from lashstore.errors import LashStoreError
from lashstore.model.effects import EffectClaim

_log = logging.getLogger(__name__)

# A failed renewal is tried again this many times within an interval.
_RETRIES_PER_INTERVAL = 10


class LeaseRenewer:
    """
    One thread that renews the claims of one host while their work runs.

    It wakes at least once an interval, so a claim added meanwhile is never
    late and adding one needs no wake-up call; it ends after an idle interval
    and is started again by the next claim.
    """

    def __init__(
        self, renew: Callable[[EffectClaim], bool], *, interval_ms: int
    ) -> None:
        self._renew = renew
        self._interval_s = interval_ms / 1000
        self._changed = threading.Condition()
        self._due: dict[str, tuple[float, EffectClaim]] = {}
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def begin(self, claim: EffectClaim) -> None:
        """
        Keep *claim* alive until `end`, as far as the database lets us.
        """
        with self._changed:
            self._due[claim.lease.token] = (
                time.monotonic() + self._interval_s,
                claim,
            )
            self._require_thread()

    def end(self, claim: EffectClaim) -> None:
        """
        Leave *claim* alone; it may have been left before.
        """
        with self._changed:
            self._due.pop(claim.lease.token, None)

    def _require_thread(self) -> None:
        if self._thread is None and not self._is_closed:
            # Daemon: an effect that never ends must not keep the interpreter
            # from exiting; its lease then expires.
            thread = threading.Thread(
                target=self._run, name="lashstore-effect-renewal", daemon=True
            )
            thread.start()
            self._thread = thread

    def close(self) -> None:
        """
        Stop renewing; may be called twice.
        """
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        while True:
            with self._changed:
                claims = self._await_due()
            if claims is None:
                return
            for claim in claims:
                self._renew_one(claim)

    def _await_due(self) -> list[EffectClaim] | None:
        idle_since = time.monotonic()
        while not self._is_closed:
            now = time.monotonic()
            due = [claim for at, claim in self._due.values() if at <= now]
            if due:
                return due
            if self._due:
                idle_since = now
            elif now - idle_since >= self._interval_s:
                break
            earliest = min((at for at, _ in self._due.values()), default=now + 1)
            self._changed.wait(min(earliest - now, self._interval_s))
        self._thread = None
        return None

    def _renew_one(self, claim: EffectClaim) -> None:
        pause_s = self._interval_s
        is_held = True
        try:
            is_held = self._renew(claim)
        except LashStoreError as error:
            # Whether the lease lapses meanwhile is for the journal to say.
            _log.warning(
                "renewing the claim on effect %r failed, trying again: %s",
                claim.row.replay_key,
                error,
            )
            pause_s = self._interval_s / _RETRIES_PER_INTERVAL
        with self._changed:
            if not is_held:
                self._due.pop(claim.lease.token, None)
            elif claim.lease.token in self._due:
                self._due[claim.lease.token] = (time.monotonic() + pause_s, claim)

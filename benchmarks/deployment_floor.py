"""
The floors of the deployment's stores: processes, triggers, effects.

Written by the rules of `floor.py`: constant statements that sqlite3 keeps
prepared, tuples, the library's own schema and pragmas, no argument checks.
`synchronous` is the library's default, FULL, on both sides. Every write is one
`BEGIN IMMEDIATE` transaction, every read one `BEGIN`; both check that the file
is still the one that was opened. Each method says what else it keeps of the
library's promises; every row that is read is held against its checksum, every
row that is written gets the one the library gives it, so that the library can
read the floor's file.
"""

import functools
import hashlib
import secrets
import sqlite3
import threading
import time

from lashstore import (
    ProcessEvent,
    ProcessEventAppendResult,
    ProcessEventSemantics,
)

from .floor import HandFile
from .floor_codec import (
    check_key,
    checked_json,
    checksum,
    read_json,
    to_json,
    verify,
)

STATE = (
    "p.status, p.activity, p.definition_hash, p.terminal_at_ms, p.last_sequence,"
    " p.facts_json, p.await_output_json"
)
FIND_CONTEXT = (
    f"SELECT {STATE}, p.updated_at_ms, p.checksum,"
    " r.registration_hash, r.disposition, r.identity_json, r.provenance_json,"
    " r.env_ref, r.created_at_ms, r.event_types_json, r.checksum,"
    " w.session_id, w.agent_frame_id, w.checksum"
    " FROM processes p JOIN process_registrations r ON r.process_id = p.process_id"
    " LEFT JOIN process_wake_targets w ON w.process_id = p.process_id"
    " WHERE p.process_id = ?"
)
FIND_STATE = (
    f"SELECT {STATE}, p.updated_at_ms, p.checksum FROM processes p"
    " WHERE p.process_id = ?"
)
FIND_BY_REPLAY_KEY = (
    "SELECT sequence, event_type, occurred_at_ms, semantics_json, payload_json,"
    " checksum FROM process_events"
    " WHERE process_id = ? AND replay_key = ? AND replay_key IS NOT NULL"
)
ADD_EVENT = (
    "INSERT INTO process_events (process_id, sequence, event_type, replay_key,"
    " occurred_at_ms, semantics_json, payload_json, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
ADVANCE = (
    "UPDATE processes SET last_sequence = ?, updated_at_ms = ?, checksum = ?"
    " WHERE process_id = ?"
)
FIND_LEASE = (
    "SELECT fencing_token, lease_token, owner_json, claimed_at_ms, expires_at_ms,"
    " checksum FROM process_leases WHERE process_id = ?"
)
PUT_LEASE = (
    "INSERT INTO process_leases (process_id, fencing_token, lease_token, owner_json,"
    " claimed_at_ms, expires_at_ms, checksum) VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (process_id) DO UPDATE SET fencing_token = excluded.fencing_token,"
    " lease_token = excluded.lease_token, owner_json = excluded.owner_json,"
    " claimed_at_ms = excluded.claimed_at_ms,"
    " expires_at_ms = excluded.expires_at_ms, checksum = excluded.checksum"
)

OCCURRENCE = (
    "occurrence_id, source_type, source_key, idempotency_key, occurred_at_ms,"
    " payload_json, source_json"
)
ADD_OCCURRENCE = (
    f"INSERT INTO trigger_occurrences ({OCCURRENCE}, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (occurrence_id) DO NOTHING"
)
FIND_OCCURRENCE = (
    f"SELECT {OCCURRENCE}, checksum FROM trigger_occurrences WHERE occurrence_id = ?"
)
LIST_MATCHING = (
    "SELECT s.subscription_id, s.number, s.handle, s.registrant_key,"
    " s.registrant_session_id, s.source_type, s.source_key, s.name, s.client_key,"
    " s.definition_hash, s.wake_session_id, s.wake_agent_frame_id, s.is_enabled,"
    " s.created_at_ms, s.updated_at_ms, s.body_json, s.checksum"
    " FROM trigger_subscriptions s WHERE s.source_key = ? AND s.source_type = ?"
    " AND s.is_enabled = 1 AND s.created_at_ms <= ? AND NOT EXISTS (SELECT 1 FROM"
    " trigger_deliveries d WHERE d.occurrence_id = ?"
    " AND d.subscription_id = s.subscription_id) ORDER BY s.registrant_key, s.number"
)
LAST_PENDING = (
    "SELECT max(seq) FROM trigger_deliveries WHERE acknowledged_at_ms IS NULL"
)
ADD_DELIVERY = (
    "INSERT INTO trigger_deliveries (occurrence_id, subscription_id, seq, process_id,"
    " payload_error, reserved_at_ms, acknowledged_at_ms, start_error, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)

EFFECT = (
    "scope_id, replay_key, session_id, envelope_json, status, outcome_json,"
    " error_json, due_at_ms, created_at_ms, finished_at_ms"
)
EFFECT_LEASE = "lease_owner_id, lease_token, lease_expires_at_ms"
FIND_EFFECT = (
    f"SELECT {EFFECT}, {EFFECT_LEASE}, checksum FROM effects"
    " WHERE scope_id = ? AND replay_key = ?"
)
ADD_EFFECT = (
    f"INSERT INTO effects ({EFFECT}, {EFFECT_LEASE}, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (scope_id, replay_key) DO NOTHING"
)
FINISH_EFFECT = (
    "UPDATE effects SET status = 'completed', outcome_json = ?, finished_at_ms = ?,"
    " checksum = ?, lease_owner_id = NULL, lease_token = NULL,"
    " lease_expires_at_ms = NULL WHERE scope_id = ? AND replay_key = ?"
    " AND lease_token = ? AND lease_expires_at_ms > ?"
)
RENEW_EFFECT = (
    "UPDATE effects SET lease_expires_at_ms = max(lease_expires_at_ms, ?)"
    " WHERE scope_id = ? AND replay_key = ? AND lease_token = ?"
    " AND lease_expires_at_ms > ?"
)
_LEASE_TTL_MS = 30_000
_RENEW_INTERVAL_S = 10.0


@functools.cache
def _types_of(event_types_json):
    return {each["name"]: each for each in read_json(event_types_json)}


class ProcessFloor(HandFile):
    """
    A registry's file.
    """

    def __init__(self, path, **how):
        super().__init__(path, **how)
        self._waiters = {}
        self._waiters_lock = threading.Lock()

    def append(self, process_id, event_type, payload, replay_key):
        """
        Append an event: payload as sorted JSON; the process's state,
        registration and wake target read in one statement, with their three
        checksums; the replay key looked up (a replay would be compared); the
        type declared and its schema obeyed; the event's row; sequence number,
        time and checksum of the state; whoever waits in here is told. The
        event is returned as it reads back, with its lineage.
        """
        payload_json = checked_json(payload)
        check_key(replay_key)
        now = self._begin()
        row = self._execute(FIND_CONTEXT, (process_id,)).fetchone()
        state, fixed, target = row[:7], row[9:16], row[17:19]
        verify(row[8] + row[7], "processes", process_id, *state)
        verify(row[16], "process_registrations", process_id, *fixed)
        if target[0] is not None:
            verify(row[19], "process_wake_targets", process_id, *target)
        found = self._execute(FIND_BY_REPLAY_KEY, (process_id, replay_key)).fetchone()
        if found is not None:
            msg = "replay"
            raise RuntimeError(msg)
        declared = _types_of(row[15])[event_type]
        # The case's type accepts everything and means nothing beyond itself.
        if declared["payload_schema"] or any(declared["semantics"].values()):
            msg = "not by hand"
            raise RuntimeError(msg)
        sequence = state[4] + 1
        content = (event_type, replay_key, now, None, payload_json)
        event_checksum = checksum("process_events", process_id, sequence, *content)
        self._execute(ADD_EVENT, (process_id, sequence, *content, event_checksum))
        updated = max(row[7], now)
        advanced = checksum("processes", process_id, *state[:4], sequence, *state[5:])
        done = self._execute(
            ADVANCE, (sequence, updated, advanced - updated, process_id)
        )
        if done.rowcount != 1:
            msg = "no row"
            raise RuntimeError(msg)
        self._commit()
        with self._waiters_lock:
            for waiter in self._waiters.get(process_id, ()):
                waiter.set()
        event = ProcessEvent(
            process_id=process_id,
            sequence=sequence,
            event_type=event_type,
            payload=read_json(payload_json),
            invocation={
                "scope": {"session_id": "runtime"},
                "subject": {
                    "type": "process_event",
                    "process_id": process_id,
                    "sequence": sequence,
                    "event_type": event_type,
                },
                "caused_by": {"type": "process", "process_id": process_id},
                "replay": {"key": replay_key},
            },
            semantics=ProcessEventSemantics(),
            occurred_at_ms=now,
        )
        return ProcessEventAppendResult(event=event)

    def claim(self, process_id, owner, ttl_ms):
        """
        Claim the lease of a process: a fresh token; the state read with its
        checksum, the process must run; the lease row read with its checksum,
        its owner decoded and compared, its end compared with now; the row
        written with the next fencing token and the owner as sorted JSON.
        """
        token = secrets.token_hex(16)
        now = self._begin()
        row = self._execute(FIND_STATE, (process_id,)).fetchone()
        verify(row[8] + row[7], "processes", process_id, *row[:7])
        if row[0] != "running":
            msg = "terminal"
            raise RuntimeError(msg)
        found = self._execute(FIND_LEASE, (process_id,)).fetchone()
        fencing_token = 1
        if found is not None:
            verify(found[5], "process_leases", process_id, *found[:5])
            if found[1] is not None:
                holder = read_json(found[2])
                if found[4] > now and (
                    holder["owner_id"] != owner["owner_id"]
                    or holder["incarnation_id"] != owner["incarnation_id"]
                ):
                    msg = "busy"
                    raise RuntimeError(msg)
            fencing_token = found[0] + 1
        lease = (fencing_token, token, to_json(owner).decode(), now, now + ttl_ms)
        row = (process_id, *lease)
        self._execute(PUT_LEASE, (*row, checksum("process_leases", *row)))
        self._commit()
        return {
            "process_id": process_id,
            "owner": owner,
            "lease_token": token,
            "fencing_token": fencing_token,
            "claimed_at_ms": now,
            "expires_at_ms": now + ttl_ms,
        }


class TriggerFloor(HandFile):
    """
    A trigger store's file.
    """

    def record(self, occurrence_id, source_type, source_key, payload, key):
        """
        Record an occurrence; for setting up, never timed.
        """
        now = self._begin()
        payload_json = to_json(payload).decode()
        row = (occurrence_id, source_type, source_key, key, now, payload_json, None)
        self._execute(ADD_OCCURRENCE, (*row, checksum("trigger_occurrences", *row)))
        self._commit()

    def reserve(self, occurrence_id):
        """
        Let an occurrence meet its subscriptions: the occurrence read with its
        checksum and decoded; the matching subscriptions that it has not met
        read with their checksums, in order, and their bodies decoded; the
        place behind the last pending delivery; for each a process id by
        SHA-256 over sorted JSON, the payload checked by its schema, and a
        delivery's row. The reservations are returned, decoded.
        """
        now = self._begin()
        found = self._execute(FIND_OCCURRENCE, (occurrence_id,)).fetchone()
        verify(found[7], "trigger_occurrences", *found[:7])
        payload = read_json(found[5])
        source = None if found[6] is None else read_json(found[6])
        occurrence = (*found[:5], payload, source)
        matching = []
        for row in self._execute(
            LIST_MATCHING, (found[2], found[1], found[4], occurrence_id)
        ):
            verify(row[16], "trigger_subscriptions", *row[:16])
            matching.append((row, read_json(row[15])))
        if not matching:
            self._commit()
            return []
        (seq,) = self._execute(LAST_PENDING).fetchone()
        seq = seq or 0
        reserved = []
        for row, body in matching:
            # The case's schema accepts everything.
            if body["payload_schema"]:
                msg = "not by hand"
                raise RuntimeError(msg)
            seq += 1
            digest = hashlib.sha256(to_json([occurrence_id, row[0]])).hexdigest()
            process_id = f"process:trigger:{digest}"
            content = (
                *(occurrence_id, row[0], seq, process_id),
                *(None, now, None, None),
            )
            self._execute(
                ADD_DELIVERY, (*content, checksum("trigger_deliveries", *content))
            )
            reserved.append((occurrence, row[:15], body, process_id, None))
        self._commit()
        return reserved


class _Renewals:
    """
    One thread that renews whatever claim lives for an interval.
    """

    def __init__(self, path):
        self._path = path
        self._lock = threading.Lock()
        self._due = {}
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def add(self, token, key):
        with self._lock:
            self._due[token] = (time.monotonic() + _RENEW_INTERVAL_S, key)

    def remove(self, token):
        with self._lock:
            del self._due[token]

    def close(self):
        self._closed.set()
        self._thread.join()

    def _run(self):
        database = sqlite3.connect(self._path, isolation_level=None)
        while not self._closed.wait(_RENEW_INTERVAL_S / 10):
            with self._lock:
                now = time.monotonic()
                due = [(t, key) for t, (at, key) in self._due.items() if at <= now]
                for token, key in due:
                    self._due[token] = (now + _RENEW_INTERVAL_S, key)
            for token, key in due:
                now_ms = time.time_ns() // 1_000_000
                database.execute(
                    RENEW_EFFECT, (now_ms + _LEASE_TTL_MS, *key, token, now_ms)
                )
        database.close()


class EffectFloor(HandFile):
    """
    An effect host's file.
    """

    def __init__(self, path, **how):
        super().__init__(path, **how)
        self._owner_id = secrets.token_hex(16)
        self._syncs = how["synchronous"] == "FULL"
        self._renewals = _Renewals(str(path))

    def close(self):
        self._renewals.close()
        super().close()

    def _begin(self, *, is_synced=True):
        # A claim need not outlive the power that its holder goes with.
        if self._syncs and not is_synced:
            self._database.executescript("PRAGMA synchronous = NORMAL")
        return super()._begin()

    def _sync_again(self):
        if self._syncs:
            self._database.executescript("PRAGMA synchronous = FULL")

    def step(self, scope_id, session_id, step_id, function, given):
        """
        Run a step or replay it. Both: the envelope as sorted JSON; the record
        looked up on a read snapshot, its checksum, and its envelope compared.
        Replay: the outcome decoded. First run: a fresh token and a claim
        inserted unless there is one, with the lease's end; the claim listed
        for renewal on another thread while the function runs; the outcome as
        sorted JSON, written over the claim that is still held, with its own
        checksum; decoded anew for the caller.
        """
        replay_key = f"step:{step_id}"
        check_key(replay_key)
        envelope = checked_json(
            {
                "kind": "durable_step",
                "effect_id": step_id,
                "replay_key": replay_key,
                "command": {"step_id": step_id, "input": given},
                "invocation": None,
            }
        )
        key = (scope_id, replay_key)
        self._begin_read()
        found = self._execute(FIND_EFFECT, key).fetchone()
        self._end_read()
        if found is not None:
            verify(found[13], "effects", *found[:10])
            if found[3] != envelope:
                msg = "conflict"
                raise RuntimeError(msg)
            if found[4] != "completed":
                msg = "not by hand"
                raise RuntimeError(msg)
            return read_json(found[5])

        token = secrets.token_hex(16)
        created = self._begin(is_synced=False)
        row = (*key, session_id, envelope, "in_progress", None, None, None)
        row = (*row, created, None)
        lease = (self._owner_id, token, created + _LEASE_TTL_MS)
        added = self._execute(ADD_EFFECT, (*row, *lease, checksum("effects", *row)))
        if added.rowcount != 1:
            msg = "somebody was first"
            raise RuntimeError(msg)
        self._commit()
        self._sync_again()
        self._renewals.add(token, key)
        try:
            outcome = checked_json(function())
            now = self._begin()
            total = checksum(
                *("effects", *key, session_id, envelope, "completed"),
                *(outcome, None, None, created, now),
            )
            done = self._execute(FINISH_EFFECT, (outcome, now, total, *key, token, now))
            if done.rowcount != 1:
                msg = "lease lost"
                raise RuntimeError(msg)
            self._commit()
        finally:
            self._renewals.remove(token)
        return read_json(outcome)

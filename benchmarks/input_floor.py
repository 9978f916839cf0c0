"""
The floor of turn inputs: enqueue, claim, complete.
"""

import hashlib
import secrets

from lashstore import (
    NextTurnIngress,
    NextTurnMode,
    PendingTurnInput,
    TurnInputClaim,
    TurnInputState,
)

from .floor import Floor
from .floor_codec import (
    check_key,
    checked_json,
    checksum,
    owner_of,
    pack_sorted,
    read_json,
    verify,
)
from .floor_sql import ADD_BLOB, HAS_BLOBS, NEXT_ADMISSION, PUT_HEAD, SESSION

# The upper half of an input's checksum names its state: twice its code, plus
# one for the next turn.
_HALF = 2**32
_DEFERRED, _COMPLETED = 5, 11

CONTENT = (
    "input_id, enqueue_seq, source_key, submitted_ingress_json, enqueued_at_ms,"
    " input_json"
)
FIND_BY_KEY = (
    f"SELECT {CONTENT}, checksum FROM session_turn_inputs"
    " WHERE session_id = ? AND source_key = ? AND source_key IS NOT NULL"
)
ADD = (
    "INSERT INTO session_turn_inputs (session_id, input_id, enqueue_seq, source_key,"
    " submitted_ingress_json, enqueued_at_ms, input_json, state, is_open, turn_id,"
    " min_boundary, claim_fencing_token, checksum)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, 'deferred_next_turn', 1, NULL, NULL, 0, ?)"
)
LIST_DEFERRED = (
    f"SELECT {CONTENT}, checksum, claim_fencing_token FROM session_turn_inputs"
    " WHERE session_id = ? AND state = 'deferred_next_turn'"
    " AND (claim_expires_at_ms IS NULL OR claim_expires_at_ms <= ?)"
    " ORDER BY enqueue_seq LIMIT 1"
)
CLAIM = (
    "UPDATE session_turn_inputs SET claim_id = ?, claim_token = ?,"
    " claim_owner_json = ?, claim_host_id = NULL, claimed_at_ms = ?,"
    " claim_expires_at_ms = ?, claim_fencing_token = claim_fencing_token + 1"
    " WHERE session_id = ? AND input_id = ?"
)
COMPLETE = (
    "UPDATE session_turn_inputs SET claim_id = NULL, claim_token = NULL,"
    " claim_owner_json = NULL, claim_host_id = NULL, claimed_at_ms = NULL,"
    " claim_expires_at_ms = NULL, state = 'completed', is_open = 0,"
    f" checksum = checksum % {_HALF} + {_HALF * _COMPLETED}"
    " WHERE session_id = ? AND claim_id = ? AND claim_token = ? RETURNING input_id"
)


def _input_of(content, value):
    input_id, seq, key, _, enqueued, _ = content
    return PendingTurnInput(
        input_id=input_id,
        session_id=SESSION,
        enqueue_seq=seq,
        source_key=key,
        ingress=NextTurnIngress(),
        state=TurnInputState.DEFERRED_NEXT_TURN,
        enqueued_at_ms=enqueued,
        input=value,
    )


class InputFloor(Floor):
    """
    One session's file with its turn inputs.
    """

    def enqueue_input(self, value, key):
        """
        Enqueue one input for the next turn, unless its key is known.
        """
        ingress, text = '{"scope":"next_turn"}', checked_json(value)
        check_key(key)
        now = self._begin()
        if self._execute(FIND_BY_KEY, (SESSION, key)).fetchone():
            msg = "known key"
            raise RuntimeError(msg)
        (seq,) = self._execute(NEXT_ADMISSION, (SESSION,)).fetchone()
        content = (f"ti:{secrets.token_hex(32)}", seq, key, ingress, now, text)
        total = checksum("session_turn_inputs", SESSION, *content)
        self._execute(ADD, (SESSION, *content, total + _HALF * _DEFERRED))
        self._commit()
        return _input_of(content, value)

    def claim_input(self, fence, owner_json, ttl_ms):
        """
        Claim the first input that waits for the next turn.
        """
        now = self._begin()
        self._check_fence(fence, now)
        row = self._execute(LIST_DEFERRED, (SESSION, now)).fetchone()
        verify(row[6] - _HALF * _DEFERRED, "session_turn_inputs", SESSION, *row[:6])
        claim_id, token = f"tic:{row[1]}:{row[7] + 1}", secrets.token_hex(32)
        self._execute(
            CLAIM, (claim_id, token, owner_json, now, now + ttl_ms, SESSION, row[0])
        )
        self._commit()
        return TurnInputClaim(
            session_id=SESSION,
            claim_id=claim_id,
            owner=owner_of(owner_json),
            lease_token=token,
            fencing_token=row[7] + 1,
            claimed_at_ms=now,
            expires_at_ms=now + ttl_ms,
            mode=NextTurnMode(),
            inputs=(_input_of(row[:6], read_json(row[5])),),
        )

    def complete_input(self, claim, fence):
        """
        Complete a claim in an otherwise empty, unconditional commit.
        """
        (claimed,) = claim.inputs
        values = (SESSION, claim.claim_id, claim.lease_token)
        self._complete(COMPLETE, values, claimed.input_id, fence)

    def _complete(self, statement, values, key, fence):
        manifest = pack_sorted({"schema_version": 1, "turn_state": {}})
        ref = hashlib.sha256(manifest).hexdigest()
        now = self._begin()
        head = self._read_head()
        self._check_fence(fence, now)
        if self._execute(statement, values).fetchall() != [(key,)]:
            msg = "claim lost"
            raise RuntimeError(msg)
        if not self._execute(HAS_BLOBS, (SESSION, ref, ref)).fetchone():
            self._execute(
                ADD_BLOB,
                (SESSION, ref, "checkpoint_manifest", "none", len(manifest), manifest),
            )
        row = (1, head[1] + 1, "{}", "[]", "", ref, *head[6:10])
        self._execute(PUT_HEAD, (SESSION, *row, checksum("head", SESSION, *row)))
        self._commit()

    def remove_pending(self):
        """
        Remove the batch and the input that came last; for setting up.
        """
        for table in ("session_queued_batches", "session_turn_inputs"):
            self._execute(
                f"DELETE FROM {table} WHERE session_id = ?1 AND enqueue_seq ="
                f" (SELECT max(enqueue_seq) FROM {table} WHERE session_id = ?1)",
                (SESSION,),
            )

    def set_leaf(self, node_id):
        """
        Move the head's leaf; for setting up.
        """
        self._begin()
        row = list(self._read_head())[:10]
        row[6] = node_id
        self._execute(PUT_HEAD, (SESSION, *row, checksum("head", SESSION, *row)))
        self._commit()

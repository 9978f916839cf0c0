"""
What must hold of recorded effects.
"""

from typing import Any

import msgspec
import sqlalchemy as sa

from lashstore.errors import LashStoreError
from lashstore.model.effects import (
    EffectEnvelope,
    EffectRow,
    ExecutionScope,
    scope_from_key,
    scope_session_id,
)
from lashstore.repos import effects

from .findings import FindingKind, Findings
from .scanning import sound_rows

__all__ = ["check_effects"]


def check_effects(connection: sa.Connection, findings: Findings) -> None:
    """
    Report everything wrong with the effect journal.
    """
    for scanned in sound_rows(connection, effects.SCAN, findings):
        mistake = _mistake(scanned.value.row)
        if mistake is not None:
            findings.add(
                FindingKind.ROW_INCONSISTENT,
                mistake,
                table="effects",
                key=scanned.key,
            )


def _mistake(row: EffectRow) -> str | None:
    try:
        scope: ExecutionScope = scope_from_key(row.scope_id)
        envelope: Any = msgspec.json.decode(row.envelope_json, type=EffectEnvelope)
    except (LashStoreError, msgspec.MsgspecError) as error:
        return f"its scope or envelope is none: {error}"
    if scope_session_id(scope) != row.session_id:
        return f"its scope is not of session {row.session_id!r}"
    if envelope.replay_key != row.replay_key:
        return f"its envelope has replay key {envelope.replay_key!r}"
    return _outcome_mistake(row)


def _outcome_mistake(row: EffectRow) -> str | None:
    for name in ("outcome_json", "error_json"):
        text = getattr(row, name)
        try:
            if text is not None:
                msgspec.json.decode(text)
        except msgspec.MsgspecError as error:
            return f"its {name} is no JSON: {error}"
    return None

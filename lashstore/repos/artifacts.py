"""
Artifact rows: names given to blobs, in keyspaces of their own.
"""

from typing import Any

import sqlalchemy as sa

from lashstore.codec import row_checksum, verify_row
from lashstore.model.blobs import BlobRef
from lashstore.tables import session_artifacts

from ._dialect import BIND, upsert
from ._run import Runner
from ._scan import session_scan

_c = session_artifacts.c
_columns = (_c.namespace, _c.artifact_ref, _c.blob_ref, _c.checksum)
_find = sa.select(*_columns).where(
    _c.session_id == BIND("session_id"),
    _c.namespace == BIND("namespace"),
    _c.artifact_ref == BIND("artifact_ref"),
)
_count = sa.select(sa.func.count()).where(_c.session_id == BIND("session_id"))
_put = upsert(session_artifacts, ("blob_ref", "checksum"))


def _ref_from_row(session_id: str, row: Any) -> BlobRef:
    verify_row(
        "artifact",
        str(row.artifact_ref),
        row.checksum,
        "session_artifacts",
        session_id,
        row.namespace,
        row.artifact_ref,
        row.blob_ref,
    )
    ref: BlobRef = row.blob_ref
    return ref


SCAN = session_scan(session_artifacts, _columns, _ref_from_row)


class ArtifactRepository:
    """
    Rows of `session_artifacts`.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def find(
        self, session_id: str, namespace: str, artifact_ref: str
    ) -> BlobRef | None:
        """
        Return the blob a name stands for; None if there is no such name.
        """
        row = self._connection.execute(
            _find,
            {
                "session_id": session_id,
                "namespace": namespace,
                "artifact_ref": artifact_ref,
            },
        ).one_or_none()
        return None if row is None else _ref_from_row(session_id, row)

    def count(self, session_id: str) -> int:
        """
        Return how many names there are.
        """
        found: int = self._connection.execute(
            _count, {"session_id": session_id}
        ).scalar_one()
        return found

    def put(
        self, session_id: str, namespace: str, artifact_ref: str, blob_ref: BlobRef
    ) -> None:
        """
        Let a name stand for a blob, whatever it stood for before.
        """
        self._connection.execute(
            _put,
            {
                "session_id": session_id,
                "namespace": namespace,
                "artifact_ref": artifact_ref,
                "blob_ref": blob_ref,
                "checksum": row_checksum(
                    "session_artifacts", session_id, namespace, artifact_ref, blob_ref
                ),
            },
        )

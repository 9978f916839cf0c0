"""
Artifact rows: names given to blobs, in keyspaces of their own.
"""

import sqlalchemy as sa

from lashstore.codec import row_checksum, verify_row
from lashstore.model.blobs import BlobRef
from lashstore.tables import session_artifacts

from ._dialect import BIND, upsert
from ._run import Runner

_c = session_artifacts.c
_find = sa.select(_c.blob_ref, _c.checksum).where(
    _c.session_id == BIND("session_id"),
    _c.namespace == BIND("namespace"),
    _c.artifact_ref == BIND("artifact_ref"),
)
_count = sa.select(sa.func.count()).where(_c.session_id == BIND("session_id"))
_put = upsert(session_artifacts, ("blob_ref", "checksum"))


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
        if row is None:
            return None
        verify_row(
            "artifact",
            artifact_ref,
            row.checksum,
            "session_artifacts",
            session_id,
            namespace,
            artifact_ref,
            row.blob_ref,
        )
        ref: BlobRef = row.blob_ref
        return ref

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

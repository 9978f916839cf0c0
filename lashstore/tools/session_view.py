"""
A session's rows as far as whoever verifies them can look into them.
"""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from lashstore.ciphers import ContentCipher
from lashstore.repos._run import Runner
from lashstore.repos._scan import Scan, Scanned
from lashstore.repos._sealing import SEALED_COLUMNS, SealingRunner, check_envelopes

from .findings import Findings
from .scanning import sound_rows


class SessionView:
    """
    One session's rows: plain, opened with its key, or with no key around
    their content, of which only the envelopes are checked.

    Without the key a row's own checksum cannot be compared, since it covers
    the plain content.
    """

    def __init__(
        self,
        connection: sa.Connection,
        session_id: str,
        cipher: ContentCipher | None = None,
        *,
        is_opened: bool = True,
    ) -> None:
        """
        Args:
            cipher: Opens the content; None: it is plain, or not opened.

            is_opened: Content can be looked into.
        """
        self.connection = connection
        self.session_id = session_id
        self.is_opened = is_opened
        self._sealing = (
            None if cipher is None else SealingRunner(connection, session_id, cipher)
        )

    @property
    def runner(self) -> Runner:
        """
        What repositories read rows through; contents only if they are opened.
        """
        return self._sealing or Runner.over(self.connection)

    def sound_rows(self, scan: Scan, findings: Findings) -> Iterator[Scanned]:
        """
        Yield the rows that verify as far as they can be looked into, in the
        order of their key, and report the others; count them all.

        A value is None where only sealed columns would tell it.
        """

        def decode(row: Any) -> Any:
            if SEALED_COLUMNS.keys().isdisjoint(row._fields):
                return scan.decode(row)
            if not self.is_opened:
                check_envelopes(self.session_id, row._asdict())
                return scan.around(row)
            return scan.decode(
                row if self._sealing is None else self._sealing.open_row(row)
            )

        return sound_rows(
            self.connection, scan, findings, decode, session_id=self.session_id
        )

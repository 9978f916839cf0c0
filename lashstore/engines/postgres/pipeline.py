"""
Statements on their way to a PostgreSQL server, and their results back.

psycopg's cursors work out anew at each execution how to adapt a statement and
its values, and look after the socket for each, which takes longer than the
server needs to find a row. So statements are sent with psycopg's wrapper of
libpq (https://www.psycopg.org/psycopg3/docs/api/pq.html), many in one write,
and results are read when one is asked for. psycopg still connects, decodes
rows and names errors.

A statement is prepared under a name made of its text, where that is allowed:
whatever stands between us and the server, a name never means another text.
"""

import hashlib
import select
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import PipelineAborted, error_from_result
from psycopg.pq import ConnStatus, DiagnosticField, ExecStatus, TransactionStatus

# Sent at the latest after so many statements.
_MOST_UNSENT = 256
_BINARY = 1
_SUCCESSES = frozenset({ExecStatus.COMMAND_OK, ExecStatus.TUPLES_OK})


class Statement:
    """
    A statement as the server takes it, with `$1` for its first value.
    """

    __slots__ = ("formats", "is_repeated", "keeps_plan", "name", "text")

    def __init__(
        self,
        text: str,
        formats: Sequence[int] = (),
        *,
        is_repeated: bool = True,
        keeps_plan: bool = True,
    ) -> None:
        """
        Args:
            formats: For each value 1 if it is binary, else 0.

            is_repeated: Whether it is worth a name.

            keeps_plan: Whether the server may plan it once for many
                transactions.
        """
        self.text: bytes = text.encode()
        self.name: bytes = (
            b"lash_" + hashlib.sha256(self.text).hexdigest()[:32].encode()
        )
        self.formats: Sequence[int] = formats
        self.is_repeated: bool = is_repeated
        self.keeps_plan: bool = keeps_plan


class Receiver:
    """
    What comes back from a statement, sent once or more often.
    """

    __slots__ = ("missing", "result", "rowcount", "sent_as")

    def __init__(self) -> None:
        # The number of the statement, the last one's if there are several.
        self.sent_as: int = 0
        # How many results are still to come.
        self.missing: int = 0
        # The last that came.
        self.result: Any = None
        self.rowcount: int = 0

    def receive(self, result: Any) -> None:
        """
        Take the next result.
        """
        self.missing -= 1
        self.result = result
        self.rowcount += result.command_tuples or 0


class _Preparation(Receiver):
    __slots__ = ("name",)

    def __init__(self, name: bytes) -> None:
        super().__init__()
        self.name = name


class Pipeline:
    """
    What one connection sends and receives, a transaction at a time.
    """

    def __init__(self, driver: psycopg.Connection) -> None:
        self._server = driver.pgconn
        self._decoder = Transformer(driver)
        self._readable = select.poll()
        self._readable.register(self._server.socket, select.POLLIN)
        self._usable = select.poll()
        self._usable.register(self._server.socket, select.POLLIN | select.POLLOUT)
        # What the server knows by name, or is being told.
        self._prepared: set[bytes] = set()
        self._awaited: deque[Receiver] = deque()
        # How much was sent, and up to where the server was told to answer.
        self._sent = 0
        self._asked = 0
        self._may_prepare = False
        self._keeps_plans = False

    def open(self, *, may_prepare: bool, keeps_plans: bool) -> None:
        """
        Begin to send; what was awaited before is forgotten.

        Args:
            keeps_plans: Whether the server keeps the plan of what it knows by
                name; what must be planned anew is then sent without one.
        """
        self._may_prepare = may_prepare
        self._keeps_plans = keeps_plans
        self._awaited.clear()
        self._server.enter_pipeline_mode()

    def send(
        self,
        statement: Statement,
        values: Sequence[bytes | None],
        receiver: Receiver,
    ) -> None:
        """
        Send a statement once, without waiting for what *receiver* gets.
        """
        server = self._server
        if (
            self._may_prepare
            and statement.is_repeated
            and (statement.keeps_plan or not self._keeps_plans)
        ):
            if statement.name not in self._prepared:
                server.send_prepare(statement.name, statement.text)
                self._prepared.add(statement.name)
                self._await(_Preparation(statement.name))
            server.send_query_prepared(
                statement.name, values, statement.formats, _BINARY
            )
        else:
            server.send_query_params(
                statement.text, values, None, statement.formats, _BINARY
            )
        self._await(receiver)

    def _await(self, receiver: Receiver) -> None:
        receiver.missing += 1
        self._awaited.append(receiver)
        self._sent += 1
        receiver.sent_as = self._sent
        if not self._sent % _MOST_UNSENT:
            self._flush()

    def wait_for(self, receiver: Receiver) -> None:
        """
        Receive results until *receiver* has all of its own.

        Raises:
            psycopg.Error: A statement sent until then failed, or the
                connection is lost.
        """
        if not receiver.missing:
            return
        if receiver.sent_as > self._asked:
            self._server.send_flush_request()
            self._flush()
            self._asked = self._sent
        while receiver.missing:
            self._receive()

    def is_awaited(self, receiver: Receiver) -> bool:
        """
        Tell whether the next results are of statements sent before that of
        *receiver*.
        """
        return receiver in self._awaited

    def close(self) -> None:
        """
        Receive every result that is missing, and stop sending.

        Raises:
            psycopg.Error: As `wait_for`.
        """
        self._sync()
        self._flush()
        while self._awaited:
            self._receive()
        self._server.exit_pipeline_mode()

    def abandon(self, rollback: Statement) -> None:
        """
        Undo the transaction, whatever state it is in, and stop sending. Of a
        connection that is lost nothing is left to be undone.
        """
        server = self._server
        if server.status == ConnStatus.BAD:
            return
        # What goes wrong now shows in the connection's state, too.
        with suppress(psycopg.Error):
            self._drain()
            # Not sent along: where BEGIN had failed, a proxy that lends its
            # connections by transaction takes this one back at the first
            # answer, with what came behind it still to be answered.
            if server.transaction_status != TransactionStatus.IDLE:
                server.send_query_params(rollback.text, (), None, (), _BINARY)
                self._await(Receiver())
                self._drain()
            server.exit_pipeline_mode()

    def _drain(self) -> None:
        self._sync()
        self._flush()
        while self._awaited:
            self._take()

    def rows(self, result: Any, make_row: Callable[[Any], Any]) -> list[Any]:
        """
        Return the rows of a result.
        """
        self._decoder.set_pgresult(result)
        return self._decoder.load_rows(0, result.ntuples, make_row)

    def _sync(self) -> None:
        self._server.pipeline_sync()
        self._await(Receiver())

    def _flush(self) -> None:
        # The server may read no more before its answers are read.
        while self._server.flush():
            self._usable.poll()
            self._server.consume_input()

    def _receive(self) -> None:
        if not self._awaited:
            # A failure ended the pipeline, and somebody went on asking.
            raise PipelineAborted
        receiver, result = self._take()
        if result.status in _SUCCESSES:
            receiver.receive(result)
        elif result.status == ExecStatus.PIPELINE_ABORTED:
            raise PipelineAborted
        elif result.status != ExecStatus.PIPELINE_SYNC:
            raise self._error_of(result)

    def _take(self) -> tuple[Receiver, Any]:
        receiver = self._awaited.popleft()
        result = self._next()
        if result is None:
            raise psycopg.OperationalError(self._message())
        if result.status in _SUCCESSES:
            self._next()
        elif result.status != ExecStatus.PIPELINE_SYNC:
            if isinstance(receiver, _Preparation):
                self._prepared.discard(receiver.name)
            # The server's last word may be why the connection is lost.
            with suppress(psycopg.OperationalError):
                self._next()
        return receiver, result

    def _next(self) -> Any:
        server = self._server
        while server.is_busy():
            self._readable.poll()
            server.consume_input()
        return server.get_result()

    def _error_of(self, result: Any) -> psycopg.Error:
        if result.error_field(DiagnosticField.SQLSTATE) is None:
            # libpq's own, about the connection.
            return psycopg.OperationalError(self._message())
        return error_from_result(result)

    def _message(self) -> str:
        return self._server.get_error_message() or "the connection is lost"

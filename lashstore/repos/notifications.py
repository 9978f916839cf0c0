"""
Telling other hosts that something changed, with the transaction's commit.
"""

import hashlib
from collections.abc import Sequence

import sqlalchemy as sa

from ._dialect import BIND, texts
from ._run import Runner

# https://www.postgresql.org/docs/current/sql-notify.html: sent at COMMIT, and
# once for equal ones of a transaction.
_notify = sa.select(
    sa.func.pg_notify(BIND("channel", type_=sa.Text), sa.func.unnest(texts("topics")))
)


def channel_of(schema: str | None) -> str:
    """
    Return what a schema's hosts talk on; None is where the search path leads.

    The name is a hash, since the schema may be as long as a channel at most.
    """
    return f"lashstore_{hashlib.sha256((schema or '').encode()).hexdigest()[:32]}"


def topic_of(kind: str, key: str) -> str:
    """
    Return what is told of one thing: a hash, since a message is short and a
    key may be long.
    """
    return f"{kind}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


class NotificationRepository:
    """
    Messages to whoever listens on the same server.
    """

    def __init__(self, connection: sa.Connection | Runner) -> None:
        self._connection = Runner.over(connection)

    def tell(self, topics: Sequence[str]) -> None:
        """
        Tell other hosts, if this transaction commits; where there are none
        to be told, nothing happens.
        """
        if self._connection.locks_rows:
            channel = channel_of(self._connection.schema)
            self._connection.execute(_notify, {"channel": channel, "topics": topics})

"""
PostgreSQL: one database for all sessions and stores, shared by many hosts.

The rules behind this package:

* One pool a process and URL. Its connections carry nothing from one
  transaction to the next, so a transaction-pooling proxy may stand between:
  settings are local to the transaction, locks are row locks, and statements
  are prepared only where the connection is known to be direct.
* A session's writers wait for its row in `sessions`, which they lock first.
  Under READ COMMITTED each later statement sees what the one before them
  committed. Readers get one snapshot (REPEATABLE READ) and wait for nobody.
* Statements are sent many in one write and waited for when an answer is
  needed (https://www.postgresql.org/docs/current/libpq-pipeline-mode.html).
* What the server undid for another transaction's sake (40001, 40P01), or lost
  before COMMIT was sent, is run again a bounded number of times. A COMMIT
  whose answer was lost is never repeated: nobody knows what became of it.
"""

from .addresses import parse_url
from .database import ServerDatabase
from .opening import open_any_version, open_server

__all__ = ["ServerDatabase", "open_any_version", "open_server", "parse_url"]

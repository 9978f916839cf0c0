"""
SQLAlchemy's dialect for our SQLite databases.
"""

from typing import Any

from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite


class Dialect(SQLiteDialect_pysqlite):
    """
    sqlite3 with transactions that begin when SQLAlchemy says so.

    A listener to the "begin" event would do, as SQLAlchemy's documentation
    has it, but an engine with any listener asks for all others at each
    statement too.
    """

    supports_statement_cache = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        # Compiled by repositories' runner; see lashstore.repos._run.
        self.statements: dict[Any, Any] = {}

    def do_begin(self, dbapi_connection: Any) -> None:
        """
        Begin a transaction, or go on in the one the database has begun.
        """
        driver = dbapi_connection.driver_connection
        if not driver.in_transaction:
            driver.execute("BEGIN")

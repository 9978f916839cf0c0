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

    def do_begin(self, dbapi_connection: Any) -> None:
        """
        Begin as the connection's user wants it: to read, or to write.
        """
        driver = dbapi_connection.driver_connection
        driver.execute(driver.begin_statement)

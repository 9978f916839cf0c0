"""
SQLite: every transaction, BEGIN and WAL checkpoint of a file.

The rules behind this package:

* A deferred transaction that reads and then writes can fail at once with
  SQLITE_BUSY_SNAPSHOT, whatever the timeout; so writers say BEGIN IMMEDIATE.
* SQLite before 3.51.3 can corrupt a file when a checkpoint overlaps a writer
  of another connection (https://www.sqlite.org/wal.html, "WAL-reset bug");
  so automatic checkpoints are off, and one is run only while a second
  connection holds the write lock.
"""

from .database import SqliteDatabase
from .opening import open_any_version, open_database, open_memory, open_readonly

__all__ = [
    "SqliteDatabase",
    "open_any_version",
    "open_database",
    "open_memory",
    "open_readonly",
]

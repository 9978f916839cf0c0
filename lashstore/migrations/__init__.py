"""
Carrying databases from one schema version to the next, on request only.

`chain` knows the migrations of each component, `upgrade` runs them on one
connection in its caller's transaction, `files` on a file, `servers` on a
schema of a PostgreSQL server, `targets` on whatever an address means; `shape`
tells what a database really looks like. Only `chain` and `upgrade` import
alembic, and nothing of this package is imported by opening a store.
"""

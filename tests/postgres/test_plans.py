"""
Plans on tables that nobody has analyzed: statistics are not relied upon.
"""

import json

import pytest
import sqlalchemy as sa

from lashstore import (
    ActivePath,
    GraphAppend,
    LeaseOwnerIdentity,
    RuntimeCommit,
    SessionNode,
    Store,
    StoreOptions,
)
from lashstore.engines.postgres import open_any_version
from lashstore.engines.postgres.sent import keeps_plan
from lashstore.repos._run import Runner
from lashstore.tables import SESSION_TABLES

from .explain import generic_plan, lookups_of, nodes_of, session_statements, settle

OWNER = LeaseOwnerIdentity.opaque("runner", "runner:1")

SESSIONS, NODES = 200, 1_000


def grow(connection, sessions=SESSIONS, nodes=NODES):
    """
    Give sessions so many rows each of what is looked up, behind the store,
    and no statistics.
    """
    for table in (
        "session_nodes",
        "session_queued_batches",
        "session_turn_inputs",
        "session_blobs",
        "session_checkpoint_blobs",
        "session_artifacts",
    ):
        connection.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    many = f"generate_series(1, {sessions}) s, generate_series(1, {nodes}) n"
    connection.execute(
        "INSERT INTO session_nodes SELECT 's' || s, 'n' || n, n,"
        " CASE WHEN n > 1 THEN 'n' || (n - 1) END, 0, 0, 0, '{}' FROM " + many
    )
    connection.execute(
        "INSERT INTO session_blobs SELECT 's' || s, 'r' || n, 'generic_blob', 'none',"
        " 0, CASE WHEN n % 8 > 0 THEN 'r' || (n - 1) END, n % 8, '' FROM " + many
    )
    connection.execute(
        "INSERT INTO session_checkpoint_blobs"
        " SELECT 's' || s, 'r' || n, n, 0 FROM " + many
    )
    connection.execute(
        "INSERT INTO session_artifacts"
        " SELECT 's' || s, 'artifact', 'a' || n, 'r' || n, 0 FROM " + many
    )
    connection.execute(
        "INSERT INTO session_queued_batches (session_id, batch_id, enqueue_seq,"
        " work_class, delivery_policy, slot_policy, merge_key_json, available_at_ms,"
        " enqueued_at_ms, is_ready, claim_fencing_token, checksum, payloads_json)"
        " SELECT 's' || s, 'b' || n, n, 'turn_work', 'after_current_turn_commit',"
        " 'join', '{}', 0, 0, 1, 0, 0, '[]' FROM " + many
    )
    connection.execute(
        "INSERT INTO session_turn_inputs (session_id, input_id, enqueue_seq,"
        " submitted_ingress_json, state, is_open, enqueued_at_ms,"
        " claim_fencing_token, checksum, input_json)"
        " SELECT 's' || s, 'i' || n, n, '{}', 'deferred_next_turn', 1, 0, 0, 0, '1'"
        " FROM " + many
    )


# Looked at row by row behind an index: what a claim or a flag says now.
HARMLESS_FILTERS = (
    "is_orphaned",
    "committed_at_ms",
    "claim_",
    "available_at_ms",
    "is_tombstoned",
    "state",
    "min_boundary",
    "turn_id <> ALL",
    # The one row behind an id may be another's.
    "wanted.node_id)::text = nearest.node_id",
)
# Statements with another plan, each with its reason.
REASONS = {
    "sessions._find_any.0": "it asks a file whose it is; no server is asked",
    "sessions._list_first.0": "the first page of all sessions, in order",
    "sessions._list_after.0": "the next page of all sessions, in order",
    "sessions._list_ids.0": "verify looks at every session",
    "sessions._list_sealed.0": "doctor looks at every sealed session",
    "sessions._raise_seq.0": "a condition on the one row of the session",
    "checkpoint_blobs._remove_bases.0": "those that are bases only are few",
    "blobs._sum_garbage.0": "a dry run of gc adds up every blob of the session",
    "sizes._blobs.0": "stats add up every blob of all sessions",
    "sizes._kept.0": "stats add up every blob of all sessions",
}


@pytest.fixture(name="grown", scope="module")
def _grown(postgres):
    """
    Return a connection to large tables, and the dialect of their store.
    """
    schema = "plans"
    postgres.drop(schema)
    store = Store.open(postgres.url(schema), "one")
    with postgres.connect(schema) as connection:
        settle(connection)
        grow(connection)
        yield connection, store._source.server.engine.dialect
    store.close()
    postgres.drop(schema)


def test_every_predicate_has_its_index(grown):
    """
    Each scan is led by the session and what else it looks for.
    """
    connection, dialect = grown
    statements = session_statements(dialect)
    complaints = {}
    for name, text in statements:
        for node in generic_plan(connection, text):
            if _complaint(node):
                complaints.setdefault(name, []).append(node)

    assert len(statements) == 116
    assert {n: p for n, p in complaints.items() if n not in REASONS} == {}


def _complaint(node):
    kind = node["Node Type"]
    if kind in ("Index Scan", "Index Only Scan", "Bitmap Index Scan"):
        if "session_id" not in node.get("Index Cond", ""):
            return True
    elif kind == "Seq Scan" or "Join Filter" in node:
        return True
    terms = node.get("Filter", "").split(" AND ")
    return kind != "WorkTable Scan" and any(
        term and not any(each in term for each in HARMLESS_FILTERS) for term in terms
    )


def test_a_path_costs_its_nodes(grown):
    """
    Walking a thousand nodes reads some pages a node, not a session a node.
    """
    connection, dialect = grown
    (text,) = [t for n, t in session_statements(dialect) if n == "graph._list_path.0"]
    buffers = []
    for leaf in ("n100", "n1000"):
        filled = text
        for number, value in enumerate(_path_values(text, leaf), 1):
            filled = filled.replace(f"${number}", value)
        (answer,) = connection.execute(
            f"EXPLAIN (ANALYZE, BUFFERS, TIMING OFF, FORMAT JSON) {filled}"
        ).fetchone()
        plan = (answer if isinstance(answer, list) else json.loads(answer))[0]["Plan"]
        assert plan["Actual Rows"] == int(leaf[1:])
        assert max(node["Actual Rows"] for node in nodes_of(plan)) <= int(leaf[1:]) + 1
        buffers.append(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])

    little, much = buffers
    assert much <= 11 * little
    assert much <= 20 * 1_000


def _path_values(text, leaf):
    # In the order in which they are first named.
    return ("'s7'", f"'{leaf}'", "2000") if "$3" in text else ("'s7'", f"'{leaf}'")


def _kept_lookups(connection, dialect):
    return {
        name: lookups_of(connection, text)
        for name, text in session_statements(dialect, keeps_plan)
    }


# Sessions, rows of each, and whether there are statistics.
SIZES = {
    "fresh": (0, 0, False),
    "empty": (0, 0, True),
    "tiny": (5, 3, True),
    "long": (1, 2_000, True),
    "many": (2_000, 1, True),
}


@pytest.mark.parametrize("size", SIZES)
def test_a_kept_plan_suits_every_size(size, grown, postgres):
    """
    What is planned once looks the same rows up by the same index, whatever
    was in the tables then.
    """
    sessions, rows, is_analyzed = SIZES[size]
    schema = f"plans_{size}"
    postgres.drop(schema)
    with Store.open(postgres.url(schema), "one") as store:
        dialect = store._source.server.engine.dialect
        with postgres.connect(schema) as connection:
            settle(connection)
            grow(connection, sessions, rows)
            if is_analyzed:
                for table in SESSION_TABLES:
                    connection.execute(f"VACUUM ANALYZE {table.name}")
            kept = _kept_lookups(connection, dialect)
    postgres.drop(schema)

    assert len(kept) == 31
    assert kept == _kept_lookups(*grown)


def test_only_what_suits_every_size_is_kept(postgres, open_store):
    """
    A session's other statements have no name on the server, where their plans
    would be kept.
    """
    # Of its own, so that no other test named statements on its connections.
    schema = "plans_named"
    postgres.drop(schema)
    store = open_store(address=postgres.url(schema))
    fence = store.try_claim_session_execution_lease(OWNER, 10**12).lease.fence()
    for number in range(8):
        node = SessionNode(
            node_id=f"n{number}", parent_node_id=f"n{number - 1}" if number else None
        )
        store.commit_runtime_state(
            RuntimeCommit(
                session_id=store.session_id,
                session_execution_lease=fence,
                graph=GraphAppend(nodes=(node,)),
            )
        )
        store.load_session(ActivePath())
    mode, named = store._read(
        lambda tx: (
            tx.sessions._connection.execute_once(MODE, {}).scalar_one(),
            {row[0] for row in tx.sessions._connection.execute_once(NAMED, {})},
        )
    )
    dialect = store._source.server.engine.dialect
    kept = {text for _, text in session_statements(dialect, keeps_plan)}
    others = {text for _, text in session_statements(dialect)} - kept
    named = {" ".join(text.split()) for text in named}
    store.close()
    postgres.drop(schema)

    assert mode == "auto"
    assert len(named & kept) > 5
    assert named & others == set()


def test_deployment_stores_keep_no_plan(clean):
    """
    Nobody watches their statements' plans, so they are planned each time.
    """
    database = open_any_version(sa.make_url(clean.url()), StoreOptions())
    mode = database.read(lambda c: Runner(c).execute_once(MODE, {}).scalar_one())
    database.close()

    assert mode == "force_custom_plan"


MODE = sa.text("SELECT current_setting('plan_cache_mode') AS mode")
NAMED = sa.text("SELECT statement FROM pg_prepared_statements")

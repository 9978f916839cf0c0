"""
Opening: new files, existing ones, read-only ones, and those not ours.
"""

import contextlib
import hashlib
import inspect
import os
import sqlite3
import stat
import threading

import pytest
import sqlalchemy as sa

from lashstore import (
    ActivePath,
    DurabilityTier,
    InputIdTarget,
    InvalidArgumentError,
    LashStoreError,
    NotALashStoreError,
    ReadOnlyStoreError,
    SchemaVersionError,
    SessionBindingMismatchError,
    SessionDeletedError,
    Store,
    StoreClosedError,
    StoreNotFoundError,
    StoreOptions,
    Synchronous,
)
from lashstore.tables import metadata
from lashstore.testing import (
    acquire_lease,
    commit_nodes,
    make_commit,
    make_owner,
    make_usage,
    message_chain,
    message_node,
    next_turn_draft,
    session_meta,
    turn_work_draft,
)

files_only = pytest.mark.requires("has_files")


@pytest.fixture(name="path")
def _path(tmp_path):
    return tmp_path / "root.db"


def digest(path):
    """
    What is in a file.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


def query(path, statement):
    """
    Ask a file directly.
    """
    with contextlib.closing(sqlite3.connect(path)) as conn:
        return conn.execute(statement).fetchall()


def filled(path, clock):
    """
    A closed file with a bit of everything.
    """
    with Store.open(path, "root", clock=clock) as store:
        commit_nodes(store, *message_chain("m1", "m2"))
        store.save_session_meta(session_meta())
        store.append_usage_deltas([make_usage(input_tokens=1)])
        store.enqueue_queued_work(turn_work_draft())
        store.enqueue_pending_turn_input(next_turn_draft())
        store.put_artifact_bytes("ref", b"content")
    return path


def test_store_knows_its_session(backend):
    """
    A store is bound to its session and says how durable it is.
    """
    store = backend.open_store("chat/é")
    expected = DurabilityTier.DURABLE if backend.is_durable else DurabilityTier.INLINE

    assert "chat/é" == store.session_id
    assert expected is store.durability_tier


def test_memory_stores_are_apart(clock):
    """
    Each store in memory is its own database, of session "root" by default.
    """
    one, two = Store.memory(clock=clock), Store.memory(clock=clock)
    with one, two:
        commit_nodes(one, message_node("m1"))

        assert "root" == one.session_id
        assert 1 == one.load_session().head_revision
        assert None is two.load_session()


def test_memory_store_serves_all_threads(clock):
    """
    A store in memory is one database for every thread.
    """
    with Store.memory(clock=clock) as store:
        commit_nodes(store, message_node("m1"))
        read = []
        thread = threading.Thread(target=lambda: read.append(store.load_session()))
        thread.start()
        thread.join()

        assert [store.load_session()] == read


@pytest.mark.parametrize("session_id", ["a\0b", "\ud800", None, 7], ids=ascii)
def test_what_is_no_session_id(path, clock, session_id):
    """
    An id that cannot be one is refused and makes no file.
    """
    with pytest.raises(InvalidArgumentError):
        Store.open(path, session_id, clock=clock)
    with pytest.raises(InvalidArgumentError):
        Store.memory(session_id, clock=clock)

    assert not path.exists()


@pytest.mark.parametrize(
    "session_id", ["", "a/b", "../x", "é", " ", "x" * 3000], ids=ascii
)
def test_any_other_text_is(path, clock, session_id):
    """
    Any other text is a session id.
    """
    with Store.open(path, session_id, clock=clock) as store:
        commit_nodes(store, message_node("m1"))
    with Store.open(path, session_id, clock=clock) as store:
        assert session_id == store.load_session().session_id


def test_path_may_be_text(path, clock):
    """
    A file is named by a path or by text.
    """
    with Store.open(str(path), "root", clock=clock) as store:
        commit_nodes(store, message_node("m1"))
    with Store.open(path, "root", clock=clock) as store:
        assert 1 == store.load_session().head_revision


def test_new_file_is_the_owners(path, clock):
    """
    Nobody else reads a session's files, whatever the umask.
    """
    before = os.umask(0)
    try:
        with Store.open(path, "root", clock=clock) as store:
            commit_nodes(store, message_node("m1"))
            modes = {
                stat.S_IMODE(one.stat().st_mode) for one in path.parent.glob("root.db*")
            }
    finally:
        os.umask(before)

    assert {0o600} == modes


def test_file_says_whose_it_is(path, clock):
    """
    A session's file has an application id, a WAL and STRICT tables only.
    """
    filled(path, clock)

    assert [(0,)] != query(path, "PRAGMA application_id")
    assert [("wal",)] == query(path, "PRAGMA journal_mode")
    loose = query(
        path,
        "SELECT name FROM pragma_table_list WHERE type = 'table' "
        "AND schema = 'main' AND NOT strict AND name NOT LIKE 'sqlite_%'",
    )
    assert [] == loose


def test_zero_byte_file_is_new(path, clock):
    """
    An empty file counts as absent.
    """
    path.touch()

    with Store.open(path, "root", clock=clock) as store:
        assert None is store.load_session()
        assert 1 == commit_nodes(store, message_node("m1")).head_revision


def test_metadata_builds_a_database(path, clock):
    """
    The tables' metadata alone builds a database that is ready to open.
    """
    engine = sa.create_engine(f"sqlite:///{path}")
    metadata.create_all(engine)
    engine.dispose()

    with Store.open(path, "root", clock=clock) as store:
        assert 1 == commit_nodes(store, message_node("m1")).head_revision


@pytest.mark.parametrize("synchronous", list(Synchronous))
def test_options_open_the_same_file(path, clock, synchronous):
    """
    A file is opened with any options.
    """
    filled(path, clock)
    options = StoreOptions(
        synchronous=synchronous, wal_limit_bytes=1, busy_timeout_ms=1000
    )

    with Store.open(path, "root", options=options, clock=clock) as store:
        assert 2 == commit_nodes(store, message_node("m3")).head_revision


def test_small_wal_limit_keeps_everything(path, clock):
    """
    Checkpoints between commits lose nothing.
    """
    options = StoreOptions(wal_limit_bytes=1)
    with Store.open(path, "root", options=options, clock=clock) as store:
        for number in range(5):
            commit_nodes(store, message_node(f"m{number}", content="x" * 10_000))
    with Store.open(path, "root", clock=clock) as store:
        assert 5 == len(store.load_session().graph.nodes)


def test_file_of_another_session(path, clock):
    """
    A file holds one session; another one is refused by both names.
    """
    filled(path, clock)
    before = digest(path)

    with pytest.raises(SessionBindingMismatchError) as caught:
        Store.open(path, "other", clock=clock)

    assert ("root", "other") == (
        caught.value.bound_session_id,
        caught.value.attempted_session_id,
    )
    assert before == digest(path)


def test_new_file_is_bound_before_its_first_commit(path, clock):
    """
    Opening alone binds a file.
    """
    Store.open(path, "root", clock=clock).close()

    with pytest.raises(SessionBindingMismatchError):
        Store.open(path, "other", clock=clock)


def not_ours(path, kind):
    """
    Make a file that is no session's.
    """
    if kind == "text":
        path.write_text("Dear diary, " * 1000)
    elif kind == "short":
        path.write_bytes(b"x")
    else:
        with contextlib.closing(sqlite3.connect(path)) as conn:
            conn.execute("CREATE TABLE diary (entry TEXT)")
            conn.execute("INSERT INTO diary VALUES ('dear')")
            conn.execute(f"PRAGMA user_version = {7 if kind == 'versioned' else 0}")
            conn.commit()


@pytest.mark.parametrize("kind", ["text", "short", "database", "versioned"])
@pytest.mark.parametrize("way", ["open", "readonly"])
def test_file_that_is_not_ours(path, clock, kind, way):
    """
    A file that is no session's is refused by name and left untouched.
    """
    not_ours(path, kind)
    before = digest(path)

    ways = {
        "open": lambda: Store.open(path, "root", clock=clock),
        "readonly": lambda: Store.open_readonly(path),
    }

    with pytest.raises(NotALashStoreError) as caught:
        ways[way]()

    assert str(path) == str(caught.value.path)
    assert before == digest(path)
    assert [path] == list(path.parent.iterdir())


@pytest.mark.parametrize("kind", ["folder", "nowhere"])
def test_path_that_holds_no_file(tmp_path, clock, kind):
    """
    A path no file can be at is one of our errors, not the driver's.
    """
    path = tmp_path if kind == "folder" else tmp_path / "file" / "root.db"
    (tmp_path / "file").write_bytes(b"in the way")

    with pytest.raises(LashStoreError):
        Store.open(path, "root", clock=clock)
    with pytest.raises(LashStoreError):
        Store.open_readonly(path)

    assert b"in the way" == (tmp_path / "file").read_bytes()


def restamp(path, version):
    """
    Give every version stamp of a file another value; return how many.
    """
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as conn:
        changed = 0
        if conn.execute("PRAGMA user_version").fetchone()[0]:
            conn.execute(f"PRAGMA user_version = {version}")
            changed += 1
        tables = conn.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' "
            "AND name NOT LIKE 'sqlite_%'"
        ).fetchall()
        for (table,) in tables:
            columns = conn.execute(f"PRAGMA table_info({table})").fetchall()
            if "component" not in {column[1] for column in columns}:
                continue
            for _, name, kind, *_ in columns:
                if "version" in name:
                    value = str(version) if kind == "TEXT" else version
                    changed += conn.execute(
                        f"UPDATE {table} SET {name} = ?", (value,)
                    ).rowcount
        return changed


@pytest.mark.parametrize("version", [0, 999_999])
def test_file_of_another_version(path, clock, version):
    """
    A file of another schema version is refused with both versions and the
    command that helps, and left untouched.
    """
    filled(path, clock)
    assert restamp(path, version) > 0
    before = digest(path)

    with pytest.raises(SchemaVersionError) as caught:
        Store.open(path, "root", clock=clock)
    with pytest.raises(SchemaVersionError):
        Store.open_readonly(path)

    assert "session" == caught.value.component
    assert caught.value.expected != caught.value.found
    assert str(version) in str(caught.value.found)
    assert caught.value.expected in str(caught.value)
    assert "lashstore db upgrade" in str(caught.value)
    assert before == digest(path)


def test_readonly_reads_everything(path, clock):
    """
    A read-only store finds its session and reads all of it.
    """
    filled(path, clock)
    with Store.open(path, "root", clock=clock) as store:
        expected = (
            store.load_session(),
            store.load_session(ActivePath()),
            store.load_node("m1"),
            store.load_session_head_meta(),
            store.load_session_meta(),
            store.load_picker_info(),
            store.load_usage_deltas(),
            store.get_artifact_bytes("ref"),
            store.list_queued_work(),
            store.list_pending_queued_work(),
            store.list_pending_turn_inputs(),
            store.list_uncommitted_attachments(2**63),
        )

    with Store.open_readonly(path) as store:
        assert "root" == store.session_id
        assert expected == (
            store.load_session(),
            store.load_session(ActivePath()),
            store.load_node("m1"),
            store.load_session_head_meta(),
            store.load_session_meta(),
            store.load_picker_info(),
            store.load_usage_deltas(),
            store.get_artifact_bytes("ref"),
            store.list_queued_work(),
            store.list_pending_queued_work(),
            store.list_pending_turn_inputs(),
            store.list_uncommitted_attachments(2**63),
        )


def test_readonly_sees_a_running_writer(path, clock):
    """
    Beside an open writer a read-only store sees what is committed.
    """
    with Store.open(path, "root", clock=clock) as writer:
        commit_nodes(writer, message_node("m1"))
        with Store.open_readonly(str(path)) as reader:
            assert 1 == reader.load_session().head_revision
            commit_nodes(writer, message_node("m2"))
            assert 2 == reader.load_session().head_revision


def test_readonly_refuses_every_write(path, clock):
    """
    A write asked of a read-only store is an error of its own, and the file
    stays as it is.
    """
    filled(path, clock)
    with Store.open(path, "root", clock=clock) as store:
        lease = acquire_lease(store)
    before = digest(path)

    with Store.open_readonly(path) as store:
        for call in (
            lambda: store.commit_runtime_state(make_commit(lease)),
            lambda: store.save_session_meta(session_meta()),
            lambda: store.append_usage_deltas([make_usage(input_tokens=1)]),
            lambda: store.put_blob(b"x"),
            lambda: store.put_artifact_bytes("r", b"x"),
            lambda: store.put_module_artifact(b"x"),
            lambda: acquire_lease(store),
            lambda: store.renew_session_execution_lease(lease.fence(), 1),
            lambda: store.release_session_execution_lease(lease.completion()),
            lambda: store.enqueue_queued_work(turn_work_draft()),
            lambda: store.enqueue_pending_turn_input(next_turn_draft()),
            lambda: store.claim_next_turn_inputs(lease.fence(), make_owner(), 1, 1),
            lambda: store.cancel_pending_turn_input(InputIdTarget(input_id="i")),
            lambda: store.cancel_queued_work_batch("b"),
            lambda: store.tombstone_nodes(["m1"]),
            store.vacuum,
            store.gc_unreachable,
            lambda: store.transaction().__enter__(),
        ):
            with pytest.raises(ReadOnlyStoreError):
                call()

    assert before == digest(path)


def test_readonly_of_a_missing_file(path):
    """
    A missing file is an error of its own, and stays missing.
    """
    with pytest.raises(StoreNotFoundError) as caught:
        Store.open_readonly(path)

    assert str(path) == str(caught.value.path)
    assert [] == list(path.parent.iterdir())


def test_readonly_of_a_file_that_goes(path, clock):
    """
    Deleted behind a read-only store, the session is gone to it.
    """
    filled(path, clock)
    with Store.open_readonly(path) as store:
        path.unlink()

        with pytest.raises(SessionDeletedError):
            store.load_session_head_meta()


def test_readonly_of_a_zero_byte_file(path):
    """
    An empty file counts as absent.
    """
    path.touch()

    with pytest.raises(StoreNotFoundError):
        Store.open_readonly(path)

    assert b"" == path.read_bytes()


def test_readonly_leaves_no_files(path, clock):
    """
    Reading makes nothing that stays.
    """
    filled(path, clock)
    before = sorted(path.parent.iterdir())

    with Store.open_readonly(path) as store:
        store.load_session()

    assert before == sorted(path.parent.iterdir())


def test_many_first_openers(path, clock):
    """
    Threads that open one new file at once all get the same session.
    """
    stores, errors = [], []
    barrier = threading.Barrier(8)

    def open_it():
        barrier.wait()
        try:
            stores.append(Store.open(path, "root", clock=clock))
        except LashStoreError as error:
            errors.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == errors
    commit_nodes(stores[0], message_node("m1"))
    assert [1] * 8 == [store.load_session().head_revision for store in stores]
    for store in stores:
        store.close()


def test_store_is_a_context_manager(backend):
    """
    Leaving the block closes the store.
    """
    with backend.open_store() as store:
        commit_nodes(store, message_node("m1"))

    with pytest.raises(StoreClosedError):
        store.load_session()


def test_closing_twice_is_fine(backend):
    """
    A closed store may be closed again.
    """
    store = backend.open_store()
    store.close()
    store.close()


# Arguments that pass a method's own checks, for every method but `close`.
ARGUMENTS = {
    "tombstone_nodes": (["m1"],),
    "put_blob": (b"x",),
    "get_blob": ("0" * 64,),
    "get_typed_blob": ("0" * 64,),
    "get_checkpoint": ("0" * 64,),
    "put_typed_blob": ("x",),
    "load_node": ("m1",),
    "save_session_meta": (session_meta(),),
    "append_usage_deltas": ([make_usage(input_tokens=1)],),
    "put_module_artifact": (b"x",),
    "get_module_artifact": ("r",),
    "put_artifact_bytes": ("r", b"x"),
    "get_artifact_bytes": ("r",),
    "put_process_execution_env": ("r", b"x"),
    "get_process_execution_env": ("r",),
    "try_claim_session_execution_lease": (make_owner(), 1),
    "enqueue_queued_work": (turn_work_draft(),),
    "cancel_queued_work_batch": ("b",),
    "enqueue_pending_turn_input": (next_turn_draft(),),
    "cancel_pending_turn_input": (InputIdTarget(input_id="i"),),
    "cancel_pending_turn_inputs": ([InputIdTarget(input_id="i")],),
    "cancel_pending_turn_input_suffix": (InputIdTarget(input_id="i"),),
    "commit_attachment_refs": (["0" * 64],),
    "list_uncommitted_attachments": (1,),
    "forget_attachment": ("0" * 64,),
    "load_session": (),
    "load_session_head_meta": (),
    "load_session_meta": (),
    "load_picker_info": (),
    "load_usage_deltas": (),
    "list_queued_work": (),
    "list_pending_queued_work": (),
    "list_pending_turn_inputs": (),
    "vacuum": (),
    "gc_unreachable": (),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_closed_store(backend, name):
    """
    Any use after closing is an error of its own.
    """
    store = backend.open_store()
    store.close()

    with pytest.raises(StoreClosedError):
        getattr(store, name)(*ARGUMENTS[name])


def test_closed_store_opens_no_transaction(backend):
    """
    A closed store begins no transaction.
    """
    store = backend.open_store()
    store.close()

    with pytest.raises(StoreClosedError), store.transaction():
        pass


# Argument names as api.pyi has them.
SIGNATURES = {
    "commit_runtime_state": ["commit"],
    "load_session": ["scope"],
    "load_node": ["node_id"],
    "save_session_meta": ["meta"],
    "append_usage_deltas": ["entries"],
    "copy_head_from": ["source"],
    "put_artifact_blob": ["descriptor", "content"],
    "put_typed_blob": ["value"],
    "put_artifact_bytes": ["artifact_ref", "content", "kind"],
    "try_claim_session_execution_lease": ["owner", "lease_ttl_ms"],
    "reclaim_session_execution_lease": ["owner", "observed_holder", "lease_ttl_ms"],
    "renew_session_execution_lease": ["fence", "lease_ttl_ms"],
    "release_session_execution_lease": ["completion"],
    "enqueue_queued_work": ["draft"],
    "claim_leading_ready_session_command": ["fence", "owner", "lease_ttl_ms"],
    "claim_ready_queued_work": [
        "fence",
        "owner",
        "boundary",
        "lease_ttl_ms",
        "max_batches",
    ],
    "claim_ready_queued_work_by_batch_ids": [
        "fence",
        "owner",
        "boundary",
        "lease_ttl_ms",
        "batch_ids",
    ],
    "renew_queued_work_claim": ["claim", "lease_ttl_ms"],
    "abandon_queued_work_claim": ["claim"],
    "cancel_queued_work_batch": ["batch_id"],
    "enqueue_pending_turn_input": ["draft"],
    "cancel_pending_turn_input": ["target"],
    "cancel_pending_turn_inputs": ["targets"],
    "cancel_pending_turn_input_suffix": ["anchor"],
    "claim_active_turn_inputs": [
        "fence",
        "owner",
        "turn_id",
        "checkpoint",
        "lease_ttl_ms",
        "max_inputs",
    ],
    "claim_next_turn_inputs": ["fence", "owner", "lease_ttl_ms", "max_inputs"],
    "renew_turn_input_claim": ["claim", "lease_ttl_ms"],
    "abandon_turn_input_claim": ["claim"],
    "redefer_orphaned_turn_inputs": ["fence", "live_turn_ids"],
    "record_attachment_intent": ["intent"],
    "commit_attachment_refs": ["attachment_ids"],
    "list_uncommitted_attachments": ["older_than_ms"],
    "forget_attachment": ["attachment_id"],
    "tombstone_nodes": ["node_ids"],
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_names_of_arguments(name):
    """
    Arguments are called and ordered as the contract has them.
    """
    parameters = list(inspect.signature(getattr(Store, name)).parameters)

    assert SIGNATURES[name] == parameters[1:]


def test_a_pool_is_disposed_of_once(monkeypatch):
    """
    SQLAlchemy's pool for memory fails where two threads dispose of it at once,
    as two that close a store would.
    """
    database = Store.memory("s")._source
    disposals = []
    plain = sa.pool.StaticPool.dispose
    monkeypatch.setattr(
        sa.pool.StaticPool,
        "dispose",
        lambda pool: disposals.append(pool) or plain(pool),
    )

    database.close()
    database.close()

    assert 1 == len(disposals)

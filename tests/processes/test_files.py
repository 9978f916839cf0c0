"""
The file of a registry: its mode, its neighbours, opening and closing.
"""

import sqlite3
import stat

import pytest
import sqlalchemy as sa

from lashstore import (
    BackendError,
    DurabilityTier,
    InvalidArgumentError,
    NotALashStoreError,
    ProcessRegistry,
    SchemaVersionError,
    Store,
    StoreClosedError,
    SuccessOutput,
    tables,
)

from .kit import QUICK, ROOT, event, owner, registration
from .test_completion import WAIT


def test_a_new_file_is_private(file_place):
    """
    Mode 0600, ours by its header, with the process tables only.
    """
    registry = file_place.open()

    assert 0o600 == stat.S_IMODE(file_place.path.stat().st_mode)
    assert DurabilityTier.DURABLE == registry.durability_tier
    database = sqlite3.connect(file_place.path)
    assert (tables.APPLICATION_ID,) == database.execute(
        "PRAGMA application_id"
    ).fetchone()
    found = {
        name
        for (name,) in database.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        )
    }
    database.close()
    assert {table.name for table in tables.PROCESS_TABLES} | {
        "schema_versions"
    } == found


def test_memory_is_inline():
    """
    It goes with the object.
    """
    with ProcessRegistry.memory() as registry:
        assert DurabilityTier.INLINE == registry.durability_tier


def test_a_session_and_a_registry_may_share_a_file(tmp_path):
    """
    Whoever comes first, each makes its own tables.
    """
    for first in ("session", "process"):
        path = tmp_path / f"{first}.db"
        if first == "session":
            Store.open(path, "root", options=QUICK).close()
        registry = ProcessRegistry.open(path, options=QUICK)
        with Store.open(path, "root", options=QUICK), registry:
            registry.register_process(registration("p"))
        with ProcessRegistry.open(path, options=QUICK) as again:
            assert "p" == again.get_process("p").id


def test_tables_made_by_metadata_are_ready_to_open(tmp_path):
    """
    `create_all` alone gives a registry its schema.
    """
    path = tmp_path / "all.db"
    engine = sa.create_engine(f"sqlite:///{path}")
    tables.metadata.create_all(engine)
    engine.dispose()

    with ProcessRegistry.open(path, options=QUICK) as registry:
        registry.register_process(registration("p"))


def test_other_files_are_refused(tmp_path):
    """
    And left as they are.
    """
    text = tmp_path / "notes.txt"
    text.write_text("not a database at all")
    with pytest.raises(NotALashStoreError):
        ProcessRegistry.open(text)
    assert "not a database at all" == text.read_text()
    with pytest.raises(InvalidArgumentError):
        ProcessRegistry.open("mysql://somewhere/db")


def test_another_version_is_refused(file_place):
    """
    Both versions are named.
    """
    file_place.open().close()
    database = sqlite3.connect(file_place.path)
    database.execute("UPDATE schema_versions SET version = '9'")
    database.commit()
    database.close()

    with pytest.raises(SchemaVersionError) as caught:
        file_place.open()

    assert ("process", "1", "9") == (
        caught.value.component,
        caught.value.expected,
        caught.value.found,
    )


def test_a_removed_file_is_an_error(file_place):
    """
    It is not made again behind anybody's back.
    """
    registry = file_place.open()
    registry.register_process(registration("p"))
    file_place.path.unlink()

    for use in (
        lambda: registry.get_process("p"),
        lambda: registry.append_event("p", event()),
    ):
        with pytest.raises(BackendError):
            use()
    assert not file_place.path.exists()


@pytest.mark.parametrize(
    "use",
    [
        lambda r: r.register_process(registration("q")),
        lambda r: r.get_process("p"),
        lambda r: r.list_processes(),
        lambda r: r.list_processes(limit=0),
        lambda r: r.append_event("p", event()),
        lambda r: r.events_after("p", 0),
        lambda r: r.pending_wake_deliveries(),
        lambda r: r.ack_wake("p", 1),
        lambda r: r.complete_process("p", SuccessOutput(value=1)),
        lambda r: r.set_process_wait("p", WAIT),
        lambda r: r.claim_process_lease("p", owner(), 1),
        lambda r: r.get_process_lease("p"),
        lambda r: r.list_handle_grants(ROOT),
        lambda r: r.delete_session_process_state("root"),
        lambda r: r.prune_terminal_processes(1),
        lambda r: r.await_terminal("p"),
    ],
)
def test_a_closed_registry_refuses_everything(known, use):
    """
    Closing twice is fine.
    """
    known.close()
    known.close()

    with pytest.raises(StoreClosedError):
        use(known)


def test_options_reach_the_file(tmp_path):
    """
    The chosen durability is the one of every connection.
    """
    path = tmp_path / "deep" / "er" / "p.db"
    with ProcessRegistry.open(str(path)) as registry:
        registry.register_process(registration("p"))

    assert 0o700 == stat.S_IMODE(path.parent.stat().st_mode)

"""
The factory: session ids to stores, deletion for good, listings.
"""

import hashlib
import os
import stat
import threading
from pathlib import Path

import pytest

from lashstore import (
    ChildRelation,
    DurabilityTier,
    InvalidArgumentError,
    LashStoreError,
    RootRelation,
    SessionBindingMismatchError,
    SessionDeletedError,
    SessionMeta,
    SessionStoreFactory,
    Store,
    StoreClosedError,
)
from lashstore.testing import (
    acquire_lease,
    commit_nodes,
    make_commit,
    message_node,
    next_turn_draft,
    session_meta,
    turn_work_draft,
)

pytestmark = pytest.mark.requires("has_factory")
files_only = pytest.mark.requires("has_files")

AWKWARD_IDS = (
    "",
    ".",
    "..",
    "../weird/session",
    "/etc/passwd",
    "a/b",
    "a_b",
    "A_B",
    "con",
    "é",
    "🎉",
    "new\nline",
    "x" * 5000,
    "-wal",
    "a.db",
)


def listed(factory):
    """
    The ids of the factory's sessions, sorted.
    """
    return sorted(info.session_id for info in factory.list_sessions())


@files_only
@pytest.mark.parametrize(
    ("session_id", "name"),
    [
        ("root", "root-4813494d137e1631.db"),
        ("../weird/session", "weird_session-7a2d2bada3f30bfe.db"),
        ("chat/alpha", "chat_alpha-d8d20168f855065d.db"),
        ("delete/me", "delete_me-cc812727fc741128.db"),
        ("", "session-e3b0c44298fc1c14.db"),
        ("___", "session-bda251550bf0478f.db"),
        ("é", "session-4a99557e4033c353.db"),
        ("a" * 100, "a" * 80 + "-2816597888e4a0d3.db"),
        (
            "_" * 3 + "a" * 79 + "_b",
            "a" * 79
            + "_-"
            + hashlib.sha256(b"_" * 3 + b"a" * 79 + b"_b").hexdigest()[:16]
            + ".db",
        ),
    ],
)
def test_file_names(backend, factory, session_id, name):
    """
    A session's file name is its id made safe, with a digest behind it.
    """
    path = factory.path_for_session(session_id)

    assert backend.folder / "sessions" / name == Path(path)


@pytest.mark.parametrize("session_id", AWKWARD_IDS, ids=ascii)
def test_any_text_is_a_session(factory, session_id):
    """
    Whatever the id, its session is created, kept apart and found again.
    """
    store = factory.create_store(session_id)
    commit_nodes(store, message_node("m1"))
    store.close()

    found = factory.open_existing_store(session_id)

    assert session_id == found.session_id == found.load_session().session_id
    assert [session_id] == listed(factory)


@files_only
def test_all_files_lie_in_the_root(backend, factory):
    """
    No session's file leaves the folder, and no two sessions share one.
    """
    for session_id in AWKWARD_IDS:
        factory.create_store(session_id).close()

    names = [path.name for path in (backend.folder / "sessions").glob("*.db")]
    assert len(AWKWARD_IDS) == len(names)
    assert {"sessions"} == {path.name for path in backend.folder.iterdir()}
    assert sorted(AWKWARD_IDS) == listed(factory)


@pytest.mark.parametrize("session_id", ["a\0b", "\ud800", None, 7], ids=ascii)
def test_what_is_no_session_id(factory, session_id):
    """
    An id with NUL or a lone surrogate, or no text, is refused everywhere.
    """
    for call in (
        factory.create_store,
        factory.open_existing_store,
        factory.delete_session,
    ):
        with pytest.raises(InvalidArgumentError):
            call(session_id)

    assert [] == listed(factory)


@files_only
def test_modes_of_files_and_folders(backend, factory):
    """
    Only the owner reads what a factory makes.
    """
    before = os.umask(0)
    try:
        commit_nodes(factory.create_store("root"), message_node("m1"))
    finally:
        os.umask(before)

    root = backend.folder / "sessions"
    assert 0o700 == stat.S_IMODE(root.stat().st_mode)
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in root.iterdir()}


def test_created_session_has_meta(factory, clock):
    """
    A new session is named after its id and dated.
    """
    store = factory.create_store("root", model="model-1")

    assert (
        SessionMeta(
            session_id="root",
            session_name="root",
            created_at=f"unix:{clock.now_ms() // 1000}",
            model="model-1",
            cwd=str(Path.cwd()),
            relation=RootRelation(),
        )
        == store.load_session_meta()
    )
    assert None is store.load_session()


def test_created_session_with_all_members(factory):
    """
    Name, folder and relation are stored as given.
    """
    relation = ChildRelation(parent_session_id="p", caused_by={"type": "turn"})

    store = factory.create_store(
        "root", session_name="A name", cwd=None, relation=relation
    )

    meta = store.load_session_meta()
    assert ("A name", "", None, relation) == (
        meta.session_name,
        meta.model,
        meta.cwd,
        meta.relation,
    )


def test_meta_is_never_overwritten(factory):
    """
    Creating an existing session opens it, whatever else is asked for.
    """
    factory.create_store("root", model="one")
    factory.create_store("saved").save_session_meta(session_meta("saved", cwd="/own"))
    before = factory.create_store("root").load_session_meta()

    again = factory.create_store(
        "root",
        model="two",
        session_name="other",
        relation=ChildRelation(parent_session_id="p"),
    )

    assert before == again.load_session_meta()
    assert "one" == before.model
    assert session_meta("saved", cwd="/own") == (
        factory.create_store("saved", model="x").load_session_meta()
    )


def test_unknown_session_is_none(factory):
    """
    No such session is an answer, and makes none.
    """
    assert None is factory.open_existing_store("root")
    assert None is factory.open_existing_store("root")
    assert [] == listed(factory)


def test_existing_session_is_opened(factory):
    """
    An existing session is opened with all it has.
    """
    commit_nodes(factory.create_store("root"), message_node("m1"))

    assert 1 == factory.open_existing_store("root").load_session().head_revision


def test_sessions_outlive_the_factory(backend, factory):
    """
    Another factory over the same root has the same sessions.
    """
    commit_nodes(factory.create_store("root"), message_node("m1"))
    factory.close()

    again = backend.open_factory()

    assert ["root"] == listed(again)
    assert 1 == again.open_existing_store("root").load_session().head_revision


def test_tier_is_that_of_the_stores(factory):
    """
    A factory's stores are as durable as it says.
    """
    assert DurabilityTier.DURABLE is factory.durability_tier
    assert DurabilityTier.DURABLE is factory.create_store("root").durability_tier


def test_deleted_session_is_gone(backend, factory):
    """
    A deleted session is unknown; deleting again is fine.
    """
    commit_nodes(factory.create_store("root"), message_node("m1"))
    factory.create_store("other")

    factory.delete_session("root")
    factory.delete_session("root")
    factory.delete_session("never there")

    assert None is factory.open_existing_store("root")
    assert ["other"] == listed(factory)


@files_only
def test_deleted_session_leaves_no_files(backend, factory):
    """
    The database goes with its sidecars.
    """
    commit_nodes(factory.create_store("root"), message_node("m1"))

    factory.delete_session("root")

    assert [] == list((backend.folder / "sessions").glob("root*"))


@files_only
def test_damaged_files_are_deleted(backend, factory):
    """
    A name makes files ours, whatever is in them.
    """
    path = Path(factory.path_for_session("root"))
    path.parent.mkdir(exist_ok=True)
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        path.with_name(name).write_bytes(b"damaged" * 1000)

    factory.delete_session("root")

    assert [] == list(path.parent.glob("root*"))


def test_created_again_starts_from_nothing(factory):
    """
    A session created after its deletion has no revision, lease or input left.
    """
    store = factory.create_store("root", model="old")
    commit_nodes(store, message_node("m1"))
    store.enqueue_queued_work(turn_work_draft())
    store.enqueue_pending_turn_input(next_turn_draft())
    store.put_artifact_bytes("ref", b"x")
    store.close()
    factory.delete_session("root")

    store = factory.create_store("root", model="new")

    assert None is store.load_session()
    assert None is store.load_session_head_meta()
    assert "new" == store.load_session_meta().model
    assert ((), ()) == (store.list_queued_work(), store.list_pending_turn_inputs())
    assert None is store.get_artifact_bytes("ref")
    assert 1 == acquire_lease(store).fencing_token
    assert 1 == commit_nodes(store, message_node("m1")).head_revision


@pytest.mark.parametrize("is_created_again", [False, True])
@pytest.mark.parametrize("was_used", [False, True])
@pytest.mark.parametrize("by_another", [False, True])
def test_old_handle_is_dead(backend, factory, is_created_again, was_used, by_another):
    """
    After a deletion an old handle neither reads nor writes, ever.
    """
    old = factory.create_store("root")
    if was_used:
        commit_nodes(old, message_node("m1"))
    deleter = backend.open_factory() if by_another else factory
    deleter.delete_session("root")
    if is_created_again:
        deleter.create_store("root", session_name="fresh")

    for call in (
        old.load_session,
        old.load_session_meta,
        old.list_queued_work,
        lambda: old.get_blob("0" * 64),
        lambda: old.enqueue_queued_work(turn_work_draft()),
        lambda: old.put_blob(b"x"),
        lambda: acquire_lease(old),
        lambda: old.append_usage_deltas([]) or old.load_usage_deltas(),
        old.vacuum,
        old.gc_unreachable,
    ):
        with pytest.raises(SessionDeletedError) as caught:
            call()
        assert "root" == caught.value.session_id

    if is_created_again:
        fresh = deleter.open_existing_store("root")
        assert "fresh" == fresh.load_session_meta().session_name
        assert () == fresh.list_queued_work()
        assert 1 == acquire_lease(fresh).fencing_token
    else:
        assert None is deleter.open_existing_store("root")
        assert [] == listed(deleter)


@files_only
def test_old_handle_makes_no_files(backend, factory):
    """
    A dead handle leaves nothing in the folder.
    """
    old = factory.create_store("root")
    commit_nodes(old, message_node("m1"))
    factory.delete_session("root")

    with pytest.raises(SessionDeletedError):
        old.put_blob(b"x")
    old.close()

    assert [] == list((backend.folder / "sessions").glob("root*"))


def test_listing_shows_a_line_a_session(factory):
    """
    Each session is listed with its relation, folder and first message.
    """
    relation = ChildRelation(parent_session_id="one")
    one = factory.create_store("one", cwd="/one")
    commit_nodes(
        one,
        message_node("m1", content="hello"),
        message_node("m2", parent="m1", role="assistant"),
        message_node("m3", parent="m2"),
    )
    factory.create_store("two", cwd=None, relation=relation)

    infos = {info.session_id: info for info in factory.list_sessions()}

    assert {"one", "two"} == set(infos)
    assert ("/one", RootRelation(), "hello", 2) == (
        infos["one"].cwd,
        infos["one"].relation,
        infos["one"].first_user_message,
        infos["one"].user_message_count,
    )
    assert (None, relation, "", 0) == (
        infos["two"].cwd,
        infos["two"].relation,
        infos["two"].first_user_message,
        infos["two"].user_message_count,
    )


def test_listing_of_an_empty_root(factory):
    """
    A root without sessions lists nothing.
    """
    assert [] == list(factory.list_sessions())


def damage(factory, session_id):
    """
    Make a session's file unreadable.
    """
    path = Path(factory.path_for_session(session_id))
    path.write_bytes(b"not a database " * 1000)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    return path


@files_only
def test_listing_raises_on_damage(backend, factory):
    """
    A damaged session ends a listing; it is never passed over.
    """
    for session_id in ("one", "two", "three"):
        factory.create_store(session_id)
    factory.close()
    factory = backend.open_factory()
    damage(factory, "two")

    with pytest.raises(LashStoreError):
        list(factory.list_sessions())


@files_only
def test_listing_goes_on_if_asked_to(backend, factory):
    """
    With `on_error` the damaged session is reported and the rest listed.
    """
    for session_id in ("one", "two", "three"):
        factory.create_store(session_id)
    factory.close()
    factory = backend.open_factory()
    path = damage(factory, "two")
    errors = []

    infos = list(factory.list_sessions(on_error=lambda *error: errors.append(error)))

    assert {"one", "three"} == {info.session_id for info in infos}
    ((where, error),) = errors
    assert path == where
    assert isinstance(error, LashStoreError)


@files_only
def test_zero_byte_file_is_no_session(factory):
    """
    An empty file counts as absent, and a session can be created over it.
    """
    path = Path(factory.path_for_session("root"))
    path.parent.mkdir(exist_ok=True)
    path.touch()

    assert None is factory.open_existing_store("root")
    assert [] == listed(factory)
    assert (
        1 == commit_nodes(factory.create_store("root"), message_node("m")).head_revision
    )


@files_only
def test_file_of_another_session_is_refused(backend, factory):
    """
    A file under another session's name is refused by both ids.
    """
    factory.create_store("theirs")
    factory.close()
    factory = backend.open_factory()
    source, target = (factory.path_for_session(name) for name in ("theirs", "mine"))
    Path(target).write_bytes(Path(source).read_bytes())

    with pytest.raises(SessionBindingMismatchError) as caught:
        factory.create_store("mine")
    with pytest.raises(SessionBindingMismatchError):
        factory.open_existing_store("mine")

    assert {"theirs", "mine"} == {
        caught.value.bound_session_id,
        caught.value.attempted_session_id,
    }


def test_small_number_of_engines(backend):
    """
    Any number of open stores works through a bounded number of engines.
    """
    factory = backend.open_factory(max_open_engines=2)
    stores = [factory.create_store(f"s{n}") for n in range(8)]

    for turn in range(2):
        for number, store in enumerate(stores):
            commit_nodes(store, message_node(f"m{turn}"))
            assert f"s{number}" == store.load_session().session_id

    assert [2] * 8 == [store.load_session().head_revision for store in stores]


def test_deletion_reaches_stores_without_an_engine(backend):
    """
    A handle whose engine was let go is as dead after a deletion as others.
    """
    factory = backend.open_factory(max_open_engines=1)
    old = factory.create_store("root")
    commit_nodes(old, message_node("m1"))
    commit_nodes(factory.create_store("other"), message_node("m1"))
    factory.delete_session("root")

    with pytest.raises(SessionDeletedError):
        old.load_session()
    fresh = factory.create_store("root")
    with pytest.raises(SessionDeletedError):
        old.put_blob(b"x")

    assert None is fresh.load_session()


def test_concurrent_creations_make_one_session(backend, factory):
    """
    A session created at once from everywhere has one record of metadata.
    """
    factories = [factory, *(backend.open_factory() for _ in range(3))]
    barrier = threading.Barrier(len(factories))
    metas = []

    def create(number, own):
        barrier.wait()
        store = own.create_store("root", session_name=f"name {number}")
        metas.append(store.load_session_meta())

    threads = [
        threading.Thread(target=create, args=one) for one in enumerate(factories)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [factory.open_existing_store("root").load_session_meta()] * 4 == metas


def test_two_stores_of_one_session(factory):
    """
    Two stores of a session see one another's commits, and close apart.
    """
    one, two = factory.create_store("root"), factory.open_existing_store("root")
    commit_nodes(one, message_node("m1"))
    assert 1 == two.load_session().head_revision
    one.close()

    assert 2 == commit_nodes(two, message_node("m2")).head_revision


def test_closed_factory(factory):
    """
    A closed factory does nothing any more; closing twice is fine.
    """
    store = factory.create_store("root")
    factory.close()
    factory.close()

    for call in (
        lambda: factory.create_store("root"),
        lambda: factory.open_existing_store("root"),
        lambda: factory.delete_session("root"),
        lambda: list(factory.list_sessions()),
    ):
        with pytest.raises(StoreClosedError):
            call()
    with pytest.raises(StoreClosedError):
        store.load_session()
    store.close()


def test_factory_is_a_context_manager(backend):
    """
    Leaving the block closes the factory.
    """
    with backend.open_factory() as factory:
        factory.create_store("root")

    with pytest.raises(StoreClosedError):
        factory.create_store("root")


@pytest.mark.parametrize(
    "arguments",
    [
        {"model": "\ud800"},
        {"session_name": "a\0b"},
        {"cwd": "\ud800"},
        {"relation": ChildRelation(parent_session_id="a\0b")},
        {"relation": "root"},
    ],
    ids=ascii,
)
def test_meta_that_cannot_be_stored(factory, arguments):
    """
    Metadata that cannot be stored leaves no session behind.
    """
    with pytest.raises(InvalidArgumentError):
        factory.create_store("root", **arguments)

    assert None is factory.open_existing_store("root")
    assert [] == listed(factory)


@files_only
def test_store_and_factory_share_the_file(factory, clock):
    """
    A session's file is opened by its path as well.
    """
    commit_nodes(factory.create_store("chat/alpha"), message_node("m1"))

    with Store.open(
        factory.path_for_session("chat/alpha"), "chat/alpha", clock=clock
    ) as store:
        assert 1 == store.load_session().head_revision


@files_only
def test_listing_reads_no_graph(backend, factory):
    """
    A session whose nodes are damaged is listed all the same.
    """
    commit_nodes(
        factory.create_store("root"),
        message_node("m1", content="hello"),
        message_node("m2", parent="m1", role="assistant", content="MARKER01"),
    )
    factory.close()
    factory = backend.open_factory()
    backend.damage_file(factory.path_for_session("root"), "MARKER01", "MARKER11")

    assert ["hello"] == [info.first_user_message for info in factory.list_sessions()]


def test_session_is_deleted_under_a_lease(factory):
    """
    A deletion does not wait for whoever runs the session.
    """
    old = factory.create_store("root")
    lease = acquire_lease(old)
    factory.delete_session("root")

    with pytest.raises(SessionDeletedError):
        old.commit_runtime_state(make_commit(lease))
    with pytest.raises(SessionDeletedError):
        old.renew_session_execution_lease(lease.fence(), 1000)


def test_factory_finds_a_session_that_another_created_afresh(backend, factory):
    """
    A factory that had a session open finds the one that another factory made
    in its place, by every way there is.
    """
    old = factory.create_store("s", model="old")
    with backend.open_factory() as other:
        other.delete_session("s")
        other.create_store("s", model="new").close()

    listed = [each.session_id for each in factory.list_sessions()]
    found = factory.open_existing_store("s")
    made = factory.create_store("s", model="third")

    assert ["s"] == listed
    assert "new" == found.load_session_meta().model
    assert "new" == made.load_session_meta().model
    with pytest.raises(SessionDeletedError):
        old.load_session_meta()


def test_a_session_made_anew_by_another_factory_is_found(tmp_path):
    """
    A factory that had the deleted file open gets the new one, by every way.
    """
    with SessionStoreFactory(tmp_path) as one, SessionStoreFactory(tmp_path) as other:
        for find in (
            lambda: one.open_existing_store("a"),
            lambda: one.create_store("a"),
            lambda: next(iter(one.list_sessions())),
        ):
            stale = one.create_store("a")
            other.delete_session("a")
            other.create_store("a", model="new")

            assert find() is not None
            assert one.open_existing_store("a").load_session_meta().model == "new"
            with pytest.raises(SessionDeletedError):
                stale.tombstone_nodes(["n"])

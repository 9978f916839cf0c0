"""
Sealed sessions: nothing plain in the database, nothing opened without its key.
"""

import msgspec
import pytest

from lashstore import (
    AesGcmCipher,
    AttachmentMeta,
    ContentKeyError,
    CorruptRecordError,
    EffectHost,
    EffectReplayOptions,
    HydratedCheckpoint,
    InvalidArgumentError,
    MemoryAttachmentStore,
    ProcessRegistry,
    SessionAttachmentStore,
    SessionStoreFactory,
    Store,
    TriggerStore,
    copy_sessions,
)
from lashstore.model.commit import TurnCommitStamp
from lashstore.repos._sealing import SEALED_COLUMNS
from lashstore.tables import SESSION_TABLES
from lashstore.testing import factories

from .conftest import QUICK

SECRET = "xyzzy-the-secret"
ONE, TWO = b"1" * 32, b"2" * 32


def sealed_by(key=ONE, key_id="k1", **others):
    cipher = AesGcmCipher({key_id: key, **others}, key_id)
    return msgspec.structs.replace(QUICK, cipher=cipher)


def write_everything(store):
    """
    Put the secret wherever content goes; return the blob's ref.
    """
    ref = store.put_blob(SECRET.encode() * 3)
    store.save_session_meta(
        factories.session_meta(store.session_id, session_name=SECRET)
    )
    store.enqueue_queued_work(factories.turn_work_draft(SECRET))
    store.enqueue_pending_turn_input(factories.next_turn_draft(SECRET))
    lease = factories.acquire_lease(store)
    for number in (1, 2):
        store.commit_runtime_state(
            factories.make_commit(
                lease,
                factories.message_node(f"n{number}", content=f"{SECRET} {number}"),
                config={"api": SECRET},
                agent_frames=({"frame": SECRET},),
                checkpoint=HydratedCheckpoint(
                    turn_state={"at": SECRET},
                    tool_state=[SECRET] * 20_000 + list(range(5000)) + [number],
                ),
                turn_commit=TurnCommitStamp(
                    session_id=store.session_id,
                    turn_id=f"t{number}",
                    turn_commit_hash=f"h{number}",
                ),
            )
        )
    return ref


def test_nothing_plain_is_stored_and_all_is_read_back(place):
    """
    What a session says is in no cell, and reads as it was given.
    """
    with place.open(options=sealed_by()) as store:
        ref = write_everything(store)
    with place.open(options=sealed_by()) as store:
        loaded = store.load_session()
        assert SECRET.encode() * 3 == store.get_blob(ref)
        assert f"{SECRET} 2" == loaded.graph.nodes[1].payload["content"]
        assert {"api": SECRET} == loaded.config
        assert {"at": SECRET} == loaded.checkpoint.turn_state
        assert SECRET == store.load_session_meta().session_name
        assert SECRET == store.list_pending_turn_inputs()[0].input
    dump = place.dump(SESSION_TABLES)
    assert SECRET.encode() not in dump
    assert b"n2" in dump


def test_a_plain_session_is_seen_by_the_same_search(place):
    """
    The search above finds what is not sealed.
    """
    with place.open() as store:
        write_everything(store)
    assert SECRET.encode() in place.dump(SESSION_TABLES)


def test_without_its_key_a_session_does_not_open(place):
    """
    No key, another key under its id, and another id are refused.
    """
    place.open(options=sealed_by()).close()
    for options in (QUICK, sealed_by(TWO), sealed_by(TWO, "k2")):
        with pytest.raises(ContentKeyError):
            place.open(options=options)


def test_a_plain_session_takes_no_cipher(place):
    """
    It would be half sealed.
    """
    place.open().close()
    with pytest.raises(ContentKeyError):
        place.open(options=sealed_by())


def test_keys_can_be_changed(place):
    """
    Old content is read by its key, and new content takes the new one.
    """
    with place.open(options=sealed_by()) as store:
        old = store.put_blob(b"old")
    both = sealed_by(TWO, "k2", k1=ONE)
    with place.open(options=both) as store:
        new = store.put_blob(b"new")
        assert b"old" == store.get_blob(old)
    with place.open(options=sealed_by()) as store:
        assert b"old" == store.get_blob(old)
        with pytest.raises(ContentKeyError) as caught:
            store.get_blob(new)
    assert "k2" == caught.value.key_id


def test_sealed_content_opens_in_its_place_only(place):
    """
    Content moved to another row, or put there plain, is damage.
    """
    with place.open(options=sealed_by()) as store:
        lease = factories.acquire_lease(store)
        nodes = [factories.message_node(name, content="x") for name in ("a", "b")]
        store.commit_runtime_state(factories.make_commit(lease, *nodes))
    place.run(
        "UPDATE session_nodes SET node_json = (SELECT o.node_json FROM"
        " session_nodes AS o WHERE o.node_id = 'b') WHERE node_id = 'a'"
    )
    with place.open(options=sealed_by()) as store:
        with pytest.raises(CorruptRecordError):
            store.load_node("a")
        assert "b" == store.load_node("b").node_id
    place.run("UPDATE session_nodes SET node_json = '{}' WHERE node_id = 'a'")
    with (
        place.open(options=sealed_by()) as store,
        pytest.raises(CorruptRecordError, match="not sealed"),
    ):
        store.load_node("a")


def test_what_is_not_sealed_refuses_a_cipher(tmp_path):
    """
    Nothing takes a cipher and writes plain.
    """
    effects = EffectReplayOptions(store=sealed_by())
    for opens, options in (
        (ProcessRegistry, sealed_by()),
        (TriggerStore, sealed_by()),
        (EffectHost, effects),
    ):
        with pytest.raises(InvalidArgumentError, match="only sessions"):
            opens.open(tmp_path / "d.db", options=options)
    with (
        Store.memory(options=sealed_by()) as store,
        pytest.raises(InvalidArgumentError, match="plain"),
    ):
        SessionAttachmentStore(MemoryAttachmentStore(), store).put(
            b"x", AttachmentMeta(media_type="text/plain")
        )
    assert not (tmp_path / "d.db").exists()


def test_factories_and_read_only_stores_need_the_key(tmp_path):
    """
    Listing and looking raise instead of showing sealed bytes; a copy is sealed.
    """
    root = tmp_path / "root"
    with SessionStoreFactory(root, options=sealed_by()) as factory:
        store = factory.create_store("s")
        write_everything(store)
        assert ["s"] == [info.session_id for info in factory.list_sessions()]
        path = factory.path_for_session("s")
    with (
        SessionStoreFactory(root, options=QUICK) as factory,
        pytest.raises(ContentKeyError),
    ):
        list(factory.list_sessions())
    with pytest.raises(ContentKeyError):
        Store.open_readonly(path)
    with Store.open_readonly(path, options=sealed_by()) as store:
        assert {"api": SECRET} == store.load_session().config
    (copied,) = copy_sessions(root, tmp_path / "copy").sessions
    assert copied.is_there
    with pytest.raises(ContentKeyError):
        Store.open_readonly(tmp_path / "copy" / path.name)


def test_sealed_columns_are_columns_of_one_table_each():
    """
    A name tells its table, and the key is in it.
    """
    for name, key in SEALED_COLUMNS.items():
        (table,) = [table for table in SESSION_TABLES if name in table.c]
        assert key is None or key in table.c


@pytest.mark.parametrize(
    ("keys", "key_id"),
    [({"k": b"short"}, "k"), ({"k": ONE}, "other"), ({"": ONE}, "")],
)
def test_keys_are_checked(keys, key_id):
    """
    A key of another length, an empty id and an unknown one are refused.
    """
    with pytest.raises(InvalidArgumentError):
        AesGcmCipher(keys, key_id)

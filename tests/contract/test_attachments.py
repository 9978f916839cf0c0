"""
Attachments: announced first, stamped with a commit, swept when orphaned.
"""

import hashlib
import json
import threading

import pytest

from lashstore import (
    AttachmentIntent,
    AttachmentManifestEntry,
    AttachmentMeta,
    AttachmentNotFoundError,
    AttachmentRef,
    CorruptRecordError,
    FileAttachmentStore,
    InvalidArgumentError,
    LashStoreError,
    MemoryAttachmentStore,
    ReclamationReport,
    SessionAttachmentStore,
    StoreClosedError,
    reclaim_orphaned_attachments,
)
from lashstore.testing import acquire_lease, make_commit, message_node

META = AttachmentMeta(media_type="image/png", width=1, height=2, label="pixel é")
PLAIN = AttachmentMeta(media_type="text/plain")
PIXELS = bytes([1, 2, 3])
PIXELS_ID = "039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81"
OTHER = bytes([4, 5, 6, 7])
OTHER_ID = "c6d44cf418f610e3fe9e1d9294ff43def81c6cdcad6cbb1820cff48d3aa4355d"


@pytest.fixture(name="byte_store", params=["file", "memory"])
def _byte_store(request, tmp_path):
    if request.param == "file":
        return FileAttachmentStore(tmp_path / "attachments")
    return MemoryAttachmentStore()


@pytest.fixture(name="folder")
def _folder(tmp_path):
    return tmp_path / "attachments"


@pytest.fixture(name="scoped")
def _scoped(store):
    return SessionAttachmentStore(MemoryAttachmentStore(), store)


def intent(attachment_id=PIXELS_ID, at_ms=100):
    """
    The announcement of an attachment.
    """
    return AttachmentIntent(
        attachment_id=attachment_id,
        canonical_uri=f"sha256:{attachment_id}",
        intent_at_ms=at_ms,
    )


def uncommitted(store, older_than_ms=2**63 - 1):
    """
    The ids of the announced attachments, sorted.
    """
    return sorted(
        entry.attachment_id
        for entry in store.list_uncommitted_attachments(older_than_ms)
    )


def commit_with(store, *attachment_ids):
    """
    Commit with attachments.
    """
    return store.commit_runtime_state(
        make_commit(
            acquire_lease(store), committed_attachment_ids=tuple(attachment_ids)
        )
    )


@pytest.mark.parametrize("content", [b"", PIXELS, bytes(range(256)) * 1000])
def test_bytes_read_back(byte_store, content):
    """
    An attachment's id is the SHA-256 of its bytes.
    """
    ref = byte_store.put(content, META)

    assert (
        AttachmentRef(
            attachment_id=hashlib.sha256(content).hexdigest(),
            byte_len=len(content),
            meta=META,
        )
        == ref
    )
    assert (ref, content) == byte_store.get(ref.attachment_id)


def test_known_ids(byte_store):
    """
    Ids are plain digests, without a prefix.
    """
    assert PIXELS_ID == byte_store.put(PIXELS, META).attachment_id
    assert OTHER_ID == byte_store.put(OTHER, META).attachment_id


def test_last_metadata_wins(byte_store):
    """
    The same bytes are one attachment with the metadata of the last put.
    """
    byte_store.put(PIXELS, META)
    byte_store.put(PIXELS, PLAIN)

    ref, content = byte_store.get(PIXELS_ID)

    assert (PLAIN, PIXELS) == (ref.meta, content)


def test_unknown_attachment(byte_store):
    """
    No such attachment is an error that names it.
    """
    with pytest.raises(AttachmentNotFoundError) as caught:
        byte_store.get(PIXELS_ID)

    assert PIXELS_ID == caught.value.attachment_id


@pytest.mark.parametrize(
    "attachment_id",
    [
        "",
        "x",
        "../secret",
        "/etc/passwd",
        PIXELS_ID.upper(),
        PIXELS_ID[:-1],
        f"{PIXELS_ID}0",
        f"{PIXELS_ID}\n",
        f"../{PIXELS_ID}",
        "a\0b",
    ],
    ids=ascii,
)
def test_id_that_is_no_hash_is_not_found(byte_store, folder, attachment_id):
    """
    Only a SHA-256 names an attachment; nothing else reaches the file system.
    """
    byte_store.put(PIXELS, META)
    folder.mkdir(exist_ok=True)
    secret = folder.parent / "secret"
    secret.write_bytes(b"secret")

    with pytest.raises(AttachmentNotFoundError):
        byte_store.get(attachment_id)
    byte_store.delete(attachment_id)

    assert b"secret" == secret.read_bytes()
    assert PIXELS == byte_store.get(PIXELS_ID)[1]


def test_deleted_attachment_is_gone(byte_store):
    """
    Deleting removes bytes and metadata; again changes nothing.
    """
    byte_store.put(PIXELS, META)
    byte_store.put(OTHER, META)

    byte_store.delete(PIXELS_ID)
    byte_store.delete(PIXELS_ID)

    with pytest.raises(AttachmentNotFoundError):
        byte_store.get(PIXELS_ID)
    assert OTHER == byte_store.get(OTHER_ID)[1]


def test_put_after_delete(byte_store):
    """
    Deleted bytes can be put again.
    """
    byte_store.put(PIXELS, META)
    byte_store.delete(PIXELS_ID)
    byte_store.put(PIXELS, PLAIN)

    assert (PLAIN, PIXELS) == (
        byte_store.get(PIXELS_ID)[0].meta,
        byte_store.get(PIXELS_ID)[1],
    )


@pytest.mark.parametrize("is_orphan", [True, False])
def test_delete_if_asks_first(byte_store, is_orphan):
    """
    Bytes go only if they are still an orphan when asked.
    """
    byte_store.put(PIXELS, META)
    asked = []

    def still_orphan():
        asked.append(True)
        return is_orphan

    assert is_orphan is byte_store.delete_if(PIXELS_ID, still_orphan)
    assert [True] == asked
    if is_orphan:
        with pytest.raises(AttachmentNotFoundError):
            byte_store.get(PIXELS_ID)
    else:
        assert (META, PIXELS) == (
            byte_store.get(PIXELS_ID)[0].meta,
            byte_store.get(PIXELS_ID)[1],
        )


def test_delete_if_survives_a_failing_question(byte_store):
    """
    Bytes stay if nobody can say whether they are an orphan.
    """
    byte_store.put(PIXELS, META)

    def still_orphan():
        raise RuntimeError

    with pytest.raises(RuntimeError):
        byte_store.delete_if(PIXELS_ID, still_orphan)

    assert PIXELS == byte_store.get(PIXELS_ID)[1]


def test_put_meets_a_sweep(byte_store):
    """
    A put during the question writes the bytes anew; they stay.
    """
    byte_store.put(PIXELS, META)
    putting = threading.Thread(target=lambda: byte_store.put(PIXELS, PLAIN))

    def still_orphan():
        putting.start()
        return True

    byte_store.delete_if(PIXELS_ID, still_orphan)
    putting.join()

    ref, content = byte_store.get(PIXELS_ID)
    assert (PLAIN, PIXELS) == (ref.meta, content)


@pytest.mark.parametrize(
    ("content", "meta"),
    [
        ("text", META),
        (None, META),
        (PIXELS, AttachmentMeta(media_type="\ud800")),
        (PIXELS, AttachmentMeta(media_type="image/png", label="\ud800")),
        (PIXELS, AttachmentMeta(media_type="image/png", width=-1)),
        (PIXELS, AttachmentMeta(media_type="image/png", height=2**63)),
    ],
    ids=lambda _: None,
)
def test_put_that_cannot_be_stored(byte_store, content, meta):
    """
    No bytes, or metadata that cannot be stored, are refused.
    """
    with pytest.raises(InvalidArgumentError):
        byte_store.put(content, meta)

    with pytest.raises(AttachmentNotFoundError):
        byte_store.get(PIXELS_ID)


def test_layout_of_the_folder(folder):
    """
    Bytes and metadata lie side by side, under the digest's first two digits.
    """
    FileAttachmentStore(folder).put(PIXELS, META)

    payload = folder / "sha256" / "03" / PIXELS_ID
    sidecar = payload.with_name(f"{PIXELS_ID}.json")
    assert PIXELS == payload.read_bytes()
    assert "image/png" in json.dumps(json.loads(sidecar.read_text()))
    assert {payload, sidecar} == set(payload.parent.iterdir())


def test_folder_outlives_its_store(folder):
    """
    Another store over the same folder reads the same attachments.
    """
    ref = FileAttachmentStore(folder).put(PIXELS, META)

    assert (ref, PIXELS) == FileAttachmentStore(folder).get(PIXELS_ID)
    assert (ref, PIXELS) == FileAttachmentStore(str(folder)).get(PIXELS_ID)


@pytest.mark.parametrize("damage", ["bytes", "cut", "no metadata", "bad metadata"])
def test_damaged_attachment_is_never_returned(folder, damage):
    """
    Bytes of another hash, or without readable metadata, are damage.
    """
    FileAttachmentStore(folder).put(PIXELS, META)
    payload = folder / "sha256" / "03" / PIXELS_ID
    sidecar = payload.with_name(f"{PIXELS_ID}.json")
    if damage == "bytes":
        payload.write_bytes(bytes([1, 2, 4]))
    elif damage == "cut":
        payload.write_bytes(b"")
    elif damage == "no metadata":
        sidecar.unlink()
    else:
        sidecar.write_text("{")

    with pytest.raises(CorruptRecordError):
        FileAttachmentStore(folder).get(PIXELS_ID)


def test_put_repairs_damage(folder):
    """
    Putting the bytes again heals them.
    """
    FileAttachmentStore(folder).put(PIXELS, META)
    (folder / "sha256" / "03" / f"{PIXELS_ID}.json").unlink()

    FileAttachmentStore(folder).put(PIXELS, META)

    assert PIXELS == FileAttachmentStore(folder).get(PIXELS_ID)[1]


def test_intent_is_listed(backend):
    """
    An announced attachment is uncommitted from its own time on.
    """
    store = backend.open_store()
    store.record_attachment_intent(intent(at_ms=100))
    store = backend.reopen(store)

    assert () == store.list_uncommitted_attachments(99)
    assert (
        AttachmentManifestEntry(
            attachment_id=PIXELS_ID,
            session_id="root",
            canonical_uri=f"sha256:{PIXELS_ID}",
            intent_at_ms=100,
            committed_at_ms=None,
        ),
    ) == store.list_uncommitted_attachments(100)


def test_bound_above_the_range_means_all(store):
    """
    A bound beyond every time lists everything; a negative one is refused.
    """
    store.record_attachment_intent(intent(at_ms=2**63 - 1))

    assert [PIXELS_ID] == uncommitted(store, 2**63)
    assert [PIXELS_ID] == uncommitted(store, 2**200)
    with pytest.raises(InvalidArgumentError):
        store.list_uncommitted_attachments(-1)


def test_second_intent_refreshes_the_first(store):
    """
    Announcing uncommitted content again takes the new time.
    """
    store.record_attachment_intent(intent(at_ms=100))
    store.record_attachment_intent(intent(at_ms=900))

    assert [] == uncommitted(store, 899)
    assert [PIXELS_ID] == uncommitted(store, 900)


def test_committed_attachment_is_not_listed(backend):
    """
    A stamped attachment is no orphan, announced again or not.
    """
    store = backend.open_store()
    store.record_attachment_intent(intent())
    store.record_attachment_intent(intent(OTHER_ID))
    store.commit_attachment_refs([PIXELS_ID])
    store.commit_attachment_refs(iter([PIXELS_ID]))
    store.record_attachment_intent(intent(at_ms=900))
    store = backend.reopen(store)

    assert [OTHER_ID] == uncommitted(store)


def test_commit_stamps_attachments(backend):
    """
    A turn's attachments are stamped with its commit.
    """
    store = backend.open_store()
    for one in (PIXELS_ID, OTHER_ID):
        store.record_attachment_intent(intent(one))
    commit_with(store, PIXELS_ID)
    commit_with(store, PIXELS_ID)
    store = backend.reopen(store)

    assert [OTHER_ID] == uncommitted(store)


def test_unknown_attachment_is_not_stamped(store):
    """
    An attachment nobody announced fails the commit and stamps nothing.
    """
    store.record_attachment_intent(intent())

    with pytest.raises(AttachmentNotFoundError) as caught:
        commit_with(store, PIXELS_ID, OTHER_ID)
    with pytest.raises(AttachmentNotFoundError):
        store.commit_attachment_refs([PIXELS_ID, OTHER_ID])

    assert OTHER_ID == caught.value.attachment_id
    assert [PIXELS_ID] == uncommitted(store)
    assert None is store.load_session()


def test_no_attachments(store):
    """
    Stamping nothing is fine.
    """
    store.commit_attachment_refs([])

    assert () == store.list_uncommitted_attachments(2**63 - 1)


def test_forgotten_attachment_is_unknown(store):
    """
    A forgotten row is gone, committed or not; again changes nothing.
    """
    store.record_attachment_intent(intent())
    store.forget_attachment(PIXELS_ID)
    store.forget_attachment(PIXELS_ID)

    assert [] == uncommitted(store)
    with pytest.raises(AttachmentNotFoundError):
        commit_with(store, PIXELS_ID)


def test_sessions_keep_their_own_manifest(backend):
    """
    An announcement belongs to its session.
    """
    store, other = backend.open_store(), backend.open_store("other")
    store.record_attachment_intent(intent())

    assert [] == uncommitted(other)
    with pytest.raises(AttachmentNotFoundError):
        other.commit_attachment_refs([PIXELS_ID])


@pytest.mark.parametrize(
    "bad",
    [
        intent("a\0b"),
        intent("\ud800"),
        intent(at_ms=-1),
        intent(at_ms=2**63),
        "text",
    ],
    ids=lambda _: None,
)
def test_intent_that_cannot_be_stored(store, bad):
    """
    An announcement that cannot be stored is refused.
    """
    with pytest.raises(InvalidArgumentError):
        store.record_attachment_intent(bad)

    assert [] == uncommitted(store)


def test_scoped_put_announces_first(store, clock):
    """
    The announcement stands before the bytes are written.
    """
    inner = MemoryAttachmentStore()
    seen = []

    class Watching(MemoryAttachmentStore):
        def put(self, content, meta):
            seen.append(store.list_uncommitted_attachments(clock.now_ms()))
            return inner.put(content, meta)

    ref = SessionAttachmentStore(Watching(), store).put(PIXELS, META)

    ((entry,),) = seen
    assert (PIXELS_ID, "root", f"sha256:{PIXELS_ID}", clock.now_ms(), None) == (
        entry.attachment_id,
        entry.session_id,
        entry.canonical_uri,
        entry.intent_at_ms,
        entry.committed_at_ms,
    )
    assert (ref, PIXELS) == inner.get(PIXELS_ID)


def test_failed_announcement_writes_no_bytes(store):
    """
    Without the announcement no bytes are put.
    """
    inner = MemoryAttachmentStore()
    scoped = SessionAttachmentStore(inner, store)
    store.close()

    with pytest.raises(StoreClosedError):
        scoped.put(PIXELS, META)

    assert () == scoped.pending_commit_ids()
    with pytest.raises(AttachmentNotFoundError):
        inner.get(PIXELS_ID)


def test_pending_ids_are_what_a_commit_must_stamp(scoped, store):
    """
    Put ids are remembered, sorted and once, until they are marked.
    """
    assert () == scoped.pending_commit_ids()
    scoped.put(OTHER, META)
    scoped.put(PIXELS, META)
    scoped.put(OTHER, META)
    assert (PIXELS_ID, OTHER_ID) == scoped.pending_commit_ids()

    commit_with(store, *scoped.pending_commit_ids())
    scoped.mark_committed(["unknown", PIXELS_ID])
    assert (OTHER_ID,) == scoped.pending_commit_ids()
    scoped.mark_committed([OTHER_ID])

    assert () == scoped.pending_commit_ids()
    assert [] == uncommitted(store)


def test_scoped_store_forwards(scoped):
    """
    Reading and deleting go to the bytes.
    """
    ref = scoped.put(PIXELS, META)

    assert (ref, PIXELS) == scoped.get(PIXELS_ID)
    scoped.delete(PIXELS_ID)
    with pytest.raises(AttachmentNotFoundError):
        scoped.get(PIXELS_ID)


def test_sweep_removes_old_orphans_only(store, byte_store, clock):
    """
    Committed and younger attachments stay; old uncommitted ones go.
    """
    scoped = SessionAttachmentStore(byte_store, store)
    scoped.put(PIXELS, META)
    scoped.put(OTHER, META)
    commit_with(store, OTHER_ID)
    clock.advance(10)
    young = scoped.put(b"young", META).attachment_id

    report = reclaim_orphaned_attachments(store, byte_store, clock.now_ms() - 10)

    assert ReclamationReport(scanned_intent_count=1, reclaimed_count=1) == report
    with pytest.raises(AttachmentNotFoundError):
        byte_store.get(PIXELS_ID)
    assert OTHER == byte_store.get(OTHER_ID)[1]
    assert b"young" == byte_store.get(young)[1]
    assert [young] == uncommitted(store)


def test_sweep_twice(store, byte_store, clock):
    """
    A second sweep finds nothing.
    """
    SessionAttachmentStore(byte_store, store).put(PIXELS, META)
    reclaim_orphaned_attachments(store, byte_store, clock.now_ms())

    assert ReclamationReport() == reclaim_orphaned_attachments(
        store, byte_store, clock.now_ms()
    )


def test_put_again_saves_an_old_orphan(store, byte_store, clock):
    """
    A second put of uncommitted content makes it young again.
    """
    scoped = SessionAttachmentStore(byte_store, store)
    scoped.put(PIXELS, META)
    clock.advance(100)
    scoped.put(PIXELS, META)

    report = reclaim_orphaned_attachments(store, byte_store, clock.now_ms() - 1)

    assert ReclamationReport() == report
    assert PIXELS == byte_store.get(PIXELS_ID)[1]


def test_swept_attachment_cannot_be_stamped(store, byte_store, clock):
    """
    A commit that comes after the sweep fails loudly; a new put heals it.
    """
    scoped = SessionAttachmentStore(byte_store, store)
    scoped.put(PIXELS, META)
    reclaim_orphaned_attachments(store, byte_store, clock.now_ms())

    with pytest.raises(AttachmentNotFoundError):
        commit_with(store, PIXELS_ID)

    scoped.put(PIXELS, META)
    commit_with(store, PIXELS_ID)
    assert PIXELS == byte_store.get(PIXELS_ID)[1]


def test_sweep_of_an_announcement_without_bytes(store, byte_store):
    """
    A host that died between announcement and bytes leaves no row for ever.
    """
    store.record_attachment_intent(intent())

    reclaim_orphaned_attachments(store, byte_store, 2**63 - 1)

    assert [] == uncommitted(store)


@pytest.mark.requires("has_factory")
@pytest.mark.parametrize("is_committed", [True, False])
def test_sweep_spares_what_another_session_needs(
    factory, byte_store, clock, is_committed
):
    """
    Bytes that another session committed, or announced just now, stay.
    """
    mine, theirs = factory.create_store("mine"), factory.create_store("theirs")
    SessionAttachmentStore(byte_store, mine).put(PIXELS, META)
    clock.advance(100)
    SessionAttachmentStore(byte_store, theirs).put(PIXELS, META)
    if is_committed:
        commit_with(theirs, PIXELS_ID)

    reclaim_orphaned_attachments(mine, byte_store, clock.now_ms() - 1)

    assert PIXELS == byte_store.get(PIXELS_ID)[1]
    commit_with(theirs, PIXELS_ID)


@pytest.mark.requires("has_factory")
def test_sweep_of_a_factory_removes_real_orphans(factory, byte_store, clock):
    """
    What no session needs goes, beside sessions that hold other bytes.
    """
    mine, theirs = factory.create_store("mine"), factory.create_store("theirs")
    SessionAttachmentStore(byte_store, mine).put(PIXELS, META)
    SessionAttachmentStore(byte_store, theirs).put(OTHER, META)
    commit_with(theirs, OTHER_ID)

    report = reclaim_orphaned_attachments(mine, byte_store, clock.now_ms())

    assert ReclamationReport(scanned_intent_count=1, reclaimed_count=1) == report
    with pytest.raises(AttachmentNotFoundError):
        byte_store.get(PIXELS_ID)
    assert OTHER == byte_store.get(OTHER_ID)[1]


@pytest.mark.requires("has_factory", "has_files")
def test_sweep_that_cannot_ask_raises(factory, byte_store, clock):
    """
    With a session that cannot be read no bytes go.
    """
    mine, theirs = factory.create_store("mine"), factory.create_store("theirs")
    SessionAttachmentStore(byte_store, mine).put(PIXELS, META)
    theirs.close()
    factory.path_for_session("theirs").write_bytes(b"damaged " * 1000)
    for sidecar in ("-wal", "-shm"):
        path = factory.path_for_session("theirs")
        path.with_name(path.name + sidecar).unlink(missing_ok=True)

    with pytest.raises(LashStoreError):
        reclaim_orphaned_attachments(mine, byte_store, clock.now_ms())

    assert PIXELS == byte_store.get(PIXELS_ID)[1]


@pytest.mark.requires("has_factory")
def test_deleted_session_keeps_no_bytes_alive(factory, byte_store, clock):
    """
    Deleting a session leaves the bytes to whoever needs them, or to a sweep.
    """
    mine, theirs = factory.create_store("mine"), factory.create_store("theirs")
    for one in (mine, theirs):
        SessionAttachmentStore(byte_store, one).put(PIXELS, META)
    commit_with(theirs, PIXELS_ID)
    factory.delete_session("theirs")
    assert PIXELS == byte_store.get(PIXELS_ID)[1]

    reclaim_orphaned_attachments(mine, byte_store, clock.now_ms())

    with pytest.raises(AttachmentNotFoundError):
        byte_store.get(PIXELS_ID)


@pytest.mark.requires("has_factory")
def test_shared_orphan_goes_with_its_last_session(factory, byte_store, clock):
    """
    Bytes two sessions announced and neither committed go with the last sweep.
    """
    stores = [factory.create_store(name) for name in ("mine", "theirs")]
    for one in stores:
        SessionAttachmentStore(byte_store, one).put(PIXELS, META)

    for one in stores:
        reclaim_orphaned_attachments(one, byte_store, clock.now_ms())

    with pytest.raises(AttachmentNotFoundError):
        byte_store.get(PIXELS_ID)
    assert [[], []] == [uncommitted(one) for one in stores]


class Meeting(MemoryAttachmentStore):
    """
    Bytes that something happens to between moving aside and asking.
    """

    def __init__(self, meet):
        super().__init__()
        self.meet = meet

    def delete_if(self, attachment_id, still_orphan):
        """
        Meet, then ask.
        """

        def asked():
            self.meet()
            return still_orphan()

        return super().delete_if(attachment_id, asked)


def test_commit_meets_a_sweep(store, clock):
    """
    What is being swept cannot be stamped without a new put.
    """
    refused = []

    def meet():
        for stamp in (
            lambda: commit_with(store, PIXELS_ID),
            lambda: store.commit_attachment_refs([PIXELS_ID]),
        ):
            with pytest.raises(AttachmentNotFoundError) as caught:
                stamp()
            refused.append(caught.value.attachment_id)

    byte_store = Meeting(meet)
    SessionAttachmentStore(byte_store, store).put(PIXELS, META)

    report = reclaim_orphaned_attachments(store, byte_store, clock.now_ms())

    assert [PIXELS_ID, PIXELS_ID] == refused
    assert 1 == report.reclaimed_count
    assert None is store.load_session()


def test_announcement_meets_a_sweep(store, clock):
    """
    A new announcement calls the sweep off; the bytes and the row stay.
    """
    byte_store = Meeting(
        lambda: store.record_attachment_intent(intent(at_ms=clock.now_ms()))
    )
    SessionAttachmentStore(byte_store, store).put(PIXELS, META)

    report = reclaim_orphaned_attachments(store, byte_store, clock.now_ms())

    assert 0 == report.reclaimed_count
    assert PIXELS == byte_store.get(PIXELS_ID)[1]
    assert [PIXELS_ID] == uncommitted(store)
    commit_with(store, PIXELS_ID)


@pytest.mark.requires("has_factory")
def test_other_session_meets_a_sweep(factory, clock):
    """
    Every session is asked after the bytes are aside, not before.
    """
    mine, theirs = factory.create_store("mine"), factory.create_store("theirs")
    byte_store = Meeting(
        lambda: theirs.record_attachment_intent(intent(at_ms=clock.now_ms()))
    )
    SessionAttachmentStore(byte_store, mine).put(PIXELS, META)

    reclaim_orphaned_attachments(mine, byte_store, clock.now_ms())

    assert PIXELS == byte_store.get(PIXELS_ID)[1]
    commit_with(theirs, PIXELS_ID)


def test_sweep_that_was_cut_off(store, clock):
    """
    A sweep that died half-way is finished by the next one.
    """

    def meet():
        raise RuntimeError

    byte_store = Meeting(meet)
    SessionAttachmentStore(byte_store, store).put(PIXELS, META)
    with pytest.raises(RuntimeError):
        reclaim_orphaned_attachments(store, byte_store, clock.now_ms())
    byte_store.meet = lambda: None

    report = reclaim_orphaned_attachments(store, byte_store, clock.now_ms())

    assert 1 == report.reclaimed_count
    assert [] == uncommitted(store)
    with pytest.raises(AttachmentNotFoundError):
        byte_store.get(PIXELS_ID)


def test_attachment_of_a_whole_turn(backend, byte_store, clock):
    """
    From put to commit to read, over a reopen.
    """
    store = backend.open_store()
    scoped = SessionAttachmentStore(byte_store, store)
    ref = scoped.put(PIXELS, META)
    turn = make_commit(
        acquire_lease(store),
        message_node("m1", content=[{"type": "image", "id": ref.attachment_id}]),
        committed_attachment_ids=scoped.pending_commit_ids(),
    ).stamped("t1")
    store.commit_runtime_state(turn)
    store = backend.reopen(store)
    clock.advance(10**9)

    assert ReclamationReport() == reclaim_orphaned_attachments(
        store, byte_store, clock.now_ms()
    )
    assert (ref, PIXELS) == byte_store.get(ref.attachment_id)

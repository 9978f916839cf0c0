"""
Blobs: bytes and values by the SHA-256 of their content.
"""

import hashlib
import random

import msgpack
import pytest

from lashstore import (
    ArtifactKind,
    BlobDescriptor,
    BlobProfile,
    CorruptRecordError,
    InvalidArgumentError,
    LashStoreError,
    StorageHint,
    StoreOptions,
)

NOWHERE = "0" * 64
COMPRESSIBLE = BlobDescriptor(
    kind=ArtifactKind.TOOL_STATE, hints=(StorageHint.COMPRESSIBLE,)
)


@pytest.mark.parametrize("content", [b"", b"\x00", b"hello", bytes(range(256)) * 500])
def test_blob_is_keyed_by_its_hash(backend, content):
    """
    A blob's ref is the SHA-256 of its content, and reads it back.
    """
    store = backend.open_store()
    ref = store.put_blob(content)
    store = backend.reopen(store)

    assert hashlib.sha256(content).hexdigest() == ref
    assert content == store.get_blob(ref)


def test_unknown_blob_is_none(store):
    """
    No such blob is an answer.
    """
    assert None is store.get_blob(NOWHERE)
    assert None is store.get_typed_blob(NOWHERE)


def test_equal_content_is_stored_once(store):
    """
    The same content again is the same blob, whatever its descriptor.
    """
    refs = {
        store.put_blob(b"content" * 1000),
        store.put_blob(b"content" * 1000),
        store.put_artifact_blob(COMPRESSIBLE, b"content" * 1000),
    }

    assert 1 == len(refs)
    assert 1 == store.gc_unreachable().deleted_blob_count


def test_sessions_keep_their_own_blobs(backend):
    """
    A blob belongs to the session that stored it.
    """
    ref = backend.open_store("other").put_blob(b"content")

    assert None is backend.open_store().get_blob(ref)


@pytest.mark.parametrize("kind", list(ArtifactKind))
@pytest.mark.parametrize("size", [0, 1023, 5000])
def test_every_kind_reads_back(store, kind, size):
    """
    A blob of each kind comes back as it was, compressed or not.
    """
    content = b"x" * size
    ref = store.put_artifact_blob(BlobDescriptor.for_kind(kind), content)

    assert hashlib.sha256(content).hexdigest() == ref
    assert content == store.get_blob(ref)


@pytest.mark.parametrize(
    ("kind", "hints"),
    [
        (ArtifactKind.GENERIC_BLOB, ()),
        (ArtifactKind.CHECKPOINT_MANIFEST, (StorageHint.COMPRESSIBLE,)),
        (ArtifactKind.PROCESS_EXECUTION_ENV, (StorageHint.COMPRESSIBLE,)),
        *(
            (kind, (StorageHint.COMPRESSIBLE, StorageHint.LARGE_PAYLOAD))
            for kind in (
                ArtifactKind.TOOL_STATE,
                ArtifactKind.PLUGIN_SESSION_SNAPSHOT,
                ArtifactKind.EXECUTION_STATE_SNAPSHOT,
                ArtifactKind.MODULE,
            )
        ),
    ],
)
def test_kinds_have_standard_hints(kind, hints):
    """
    `for_kind` gives each kind its hints.
    """
    descriptor = BlobDescriptor.for_kind(kind)

    assert kind is descriptor.kind
    assert set(hints) == set(descriptor.hints)


@pytest.mark.requires("is_damageable")
@pytest.mark.parametrize(
    ("profile", "size", "is_compressed"),
    [
        (BlobProfile.LOW_LATENCY, 100_000, False),
        (BlobProfile.BALANCED, 4095, False),
        (BlobProfile.BALANCED, 4096, True),
        (BlobProfile.COMPACT, 1023, False),
        (BlobProfile.COMPACT, 1024, True),
    ],
)
def test_profile_decides_what_is_compressed(backend, profile, size, is_compressed):
    """
    Compressible content is compressed from the profile's size on.
    """
    store = backend.open_store(options=StoreOptions(blob_profile=profile))
    content = b"z" * size

    ref = store.put_artifact_blob(COMPRESSIBLE, content)

    assert content == store.get_blob(ref)
    assert is_compressed is not backend.holds_cell(store, content)


@pytest.mark.requires("is_damageable")
def test_only_what_is_compressible_is_compressed(backend):
    """
    Content without the hint is stored as it is.
    """
    store = backend.open_store(options=StoreOptions(blob_profile=BlobProfile.COMPACT))
    content = b"z" * 10_000

    store.put_blob(content)

    assert backend.holds_cell(store, content)


@pytest.mark.requires("is_damageable")
def test_what_does_not_shrink_is_stored_as_it_is(backend):
    """
    Random bytes are not made larger.
    """
    store = backend.open_store(options=StoreOptions(blob_profile=BlobProfile.COMPACT))
    content = random.Random(1).randbytes(10_000)

    ref = store.put_artifact_blob(COMPRESSIBLE, content)

    assert content == store.get_blob(ref)
    assert backend.holds_cell(store, content)


@pytest.mark.requires("is_durable")
def test_profiles_read_one_another(backend):
    """
    What one profile stored every other reads.
    """
    content = b"z" * 10_000
    refs = []
    for profile in BlobProfile:
        store = backend.open_store(options=StoreOptions(blob_profile=profile))
        refs.append(
            store.put_artifact_blob(COMPRESSIBLE, content + profile.value.encode())
        )
        store.close()
    for profile in BlobProfile:
        store = backend.open_store(options=StoreOptions(blob_profile=profile))
        read = [store.get_blob(ref) for ref in refs]
        assert [content + profile.value.encode() for profile in BlobProfile] == read


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        0,
        -1,
        2**63 - 1,
        -(2**63),
        0.5,
        1e300,
        -0.0,
        "",
        "text é 🎉 \0 nul",
        b"",
        b"\x00\xff",
        [],
        {},
        [1, [2, [3, {"a": None}]]],
        {"": {"nested": [True, 1, 1.0, "1", b"1"]}},
    ],
    ids=repr,
)
def test_values_keep_their_types(store, value):
    """
    A value comes back equal and of the same types.
    """
    ref = store.put_typed_blob(value)

    assert repr(value) == repr(store.get_typed_blob(ref))


def test_equal_values_have_equal_refs(store):
    """
    The order of keys does not show in a ref, at any depth.
    """
    one = store.put_typed_blob({"a": 1, "b": [{"c": 2, "d": 3}]})
    two = store.put_typed_blob({"b": [{"d": 3, "c": 2}], "a": 1})

    assert one == two


def test_different_values_have_different_refs(store):
    """
    A ref tells values of different types apart.
    """
    alike = [1, 1.0, True, "1", b"1", [1], None, 0, False]

    assert len(alike) == len({store.put_typed_blob(value) for value in alike})


def test_ref_is_the_hash_of_the_encoding(store):
    """
    A value's ref is the SHA-256 of the bytes `get_blob` returns: MessagePack.
    """
    ref = store.put_typed_blob({"a": [1, b"x"]})
    content = store.get_blob(ref)

    assert hashlib.sha256(content).hexdigest() == ref
    assert {"a": [1, b"x"]} == msgpack.unpackb(content)


def test_descriptor_does_not_change_the_ref(store):
    """
    How a value is stored does not show in its ref.
    """
    value = {"text": "z" * 10_000}

    plain = store.put_typed_blob(value)
    large = store.put_typed_artifact_blob(COMPRESSIBLE, value)

    assert plain == large
    assert value == store.get_typed_blob(large)


def recursive():
    """
    A list that holds itself.
    """
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        -float("inf"),
        {"deep": [float("nan")]},
        "\ud800",
        {"\udfff": 1},
        {1: 2},
        {b"k": 1},
        {1, 2},
        object(),
        2**64,
        -(2**63) - 1,
        recursive(),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_are_no_plain_data(store, value):
    """
    What would not read back as it was given is refused.
    """
    with pytest.raises(InvalidArgumentError):
        store.put_typed_blob(value)
    with pytest.raises(InvalidArgumentError):
        store.put_typed_artifact_blob(COMPRESSIBLE, value)

    assert 0 == store.gc_unreachable().deleted_blob_count


@pytest.mark.parametrize("content", ["text", None, 1, ["x"]], ids=repr)
def test_content_must_be_bytes(store, content):
    """
    A blob is bytes.
    """
    with pytest.raises(InvalidArgumentError):
        store.put_blob(content)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xc1",
        b"\x92\x01",
        msgpack.packb(1) + msgpack.packb(2),
        msgpack.packb(msgpack.ExtType(5, b"code")),
        b"\xa1\xff",
    ],
    ids=["empty", "unused byte", "cut", "two values", "extension", "no UTF-8"],
)
def test_only_plain_data_is_decoded(store, content):
    """
    A blob that is not one plain value is damage, never code.
    """
    ref = store.put_blob(content)

    with pytest.raises(CorruptRecordError) as caught:
        store.get_typed_blob(ref)

    assert ref == caught.value.key


def test_deeply_nested_content_does_not_crash(store):
    """
    Nesting beyond any stack is a typed error.
    """
    ref = store.put_blob(b"\x91" * 200_000 + b"\x01")

    with pytest.raises(LashStoreError):
        store.get_typed_blob(ref)


@pytest.mark.requires("is_damageable")
def test_damaged_blob_is_never_returned(backend):
    """
    Content that does not hash to its ref raises on every way of reading.
    """
    store = backend.open_store()
    raw = store.put_blob(b"\xa6SECRET")
    store = backend.damage(store, "SECRET", "SECRES")

    for read in (store.get_blob, store.get_typed_blob, store.get_checkpoint):
        with pytest.raises(CorruptRecordError) as caught:
            read(raw)
        assert raw == caught.value.key

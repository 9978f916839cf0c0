"""
Artifacts: three keyspaces that point at blobs.
"""

import pytest

from lashstore import ArtifactKind, CorruptRecordError, InvalidArgumentError

ENV = "process-env:sha256:abc"


def test_module_ref_is_of_its_content(backend):
    """
    A module's ref follows from its content alone, in every session.
    """
    store = backend.open_store()
    ref = store.put_module_artifact(b"code")

    assert ref == store.put_module_artifact(b"code")
    assert ref == backend.open_store("other").put_module_artifact(b"code")
    assert ref != store.put_module_artifact(b"other code")
    store = backend.reopen(store)
    assert b"code" == store.get_module_artifact(ref)


def test_unknown_artifacts_are_none(store):
    """
    No such artifact is an answer in each keyspace.
    """
    assert None is store.get_module_artifact("unknown")
    assert None is store.get_artifact_bytes("unknown")
    assert None is store.get_process_execution_env("unknown")


@pytest.mark.parametrize("content", [b"", b"content", b"x" * 100_000])
def test_artifacts_read_back(backend, content):
    """
    Bytes and environments come back from under the refs they were given.
    """
    store = backend.open_store()
    store.put_artifact_bytes("a/1 é", content)
    store.put_process_execution_env(ENV, content)
    store = backend.reopen(store)

    assert content == store.get_artifact_bytes("a/1 é")
    assert content == store.get_process_execution_env(ENV)


@pytest.mark.parametrize("kind", list(ArtifactKind))
def test_artifact_of_any_kind(store, kind):
    """
    An artifact may be stored as any kind of blob.
    """
    store.put_artifact_bytes("ref", b"x" * 5000, kind=kind)

    assert b"x" * 5000 == store.get_artifact_bytes("ref")


def test_artifact_is_overwritten(store):
    """
    Putting under a ref again points it at the new content.
    """
    for content in (b"one", b"two"):
        store.put_artifact_bytes("ref", content)
        store.put_process_execution_env("ref", content)

    assert b"two" == store.get_artifact_bytes("ref")
    assert b"two" == store.get_process_execution_env("ref")


def test_keyspaces_are_apart(store):
    """
    Equal refs in different keyspaces are different artifacts.
    """
    module = store.put_module_artifact(b"module")
    store.put_artifact_bytes(module, b"bytes")
    store.put_process_execution_env(module, b"env")

    assert (b"module", b"bytes", b"env") == (
        store.get_module_artifact(module),
        store.get_artifact_bytes(module),
        store.get_process_execution_env(module),
    )


def test_sessions_are_apart(backend):
    """
    An artifact belongs to the session that stored it.
    """
    other = backend.open_store("other")
    ref = other.put_module_artifact(b"code")
    other.put_artifact_bytes("ref", b"bytes")
    other.put_process_execution_env("ref", b"env")
    store = backend.open_store()

    assert None is store.get_module_artifact(ref)
    assert None is store.get_artifact_bytes("ref")
    assert None is store.get_process_execution_env("ref")


@pytest.mark.parametrize("ref", ["a\0b", "\ud800", None], ids=ascii)
def test_ref_that_cannot_be_stored(store, ref):
    """
    A ref is storable text.
    """
    for call in (
        lambda: store.put_artifact_bytes(ref, b""),
        lambda: store.put_process_execution_env(ref, b""),
    ):
        with pytest.raises(InvalidArgumentError):
            call()
    assert 0 == store.gc_unreachable().root_count


@pytest.mark.parametrize("content", ["text", None, 1], ids=repr)
def test_content_must_be_bytes(store, content):
    """
    An artifact is bytes.
    """
    for call in (
        lambda: store.put_module_artifact(content),
        lambda: store.put_artifact_bytes("ref", content),
        lambda: store.put_process_execution_env("ref", content),
    ):
        with pytest.raises(InvalidArgumentError):
            call()


def put_all(store, content):
    """
    Put one content in each keyspace; return what reads it.
    """
    module = store.put_module_artifact(content)
    store.put_artifact_bytes("ref", content)
    store.put_process_execution_env("ref", content)
    return module


@pytest.mark.requires("is_damageable")
def test_damaged_artifact_is_never_returned(backend):
    """
    Content that is not what was put raises in each keyspace.
    """
    store = backend.open_store()
    module = put_all(store, b"SECRET")
    store = backend.damage(store, "SECRET", "SECRES")

    for read in (
        lambda: store.get_module_artifact(module),
        lambda: store.get_artifact_bytes("ref"),
        lambda: store.get_process_execution_env("ref"),
    ):
        with pytest.raises(CorruptRecordError):
            read()


@pytest.mark.requires("is_damageable")
def test_pointer_without_its_blob_is_damage(backend):
    """
    An artifact whose blob is gone is not an artifact that never was.
    """
    store = backend.open_store()
    module = put_all(store, b"SECRET")
    store = backend.drop_rows(store, store.put_blob(b"SECRET"))

    for read in (
        lambda: store.get_module_artifact(module),
        lambda: store.get_artifact_bytes("ref"),
        lambda: store.get_process_execution_env("ref"),
    ):
        with pytest.raises(CorruptRecordError):
            read()

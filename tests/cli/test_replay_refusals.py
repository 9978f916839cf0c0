"""
What `lashstore replay` refuses, in one line, leaving all as it was.
"""

import json

import pytest

from lashstore import (
    FileAttachmentStore,
    NextTurnIngress,
    PendingTurnInputDraft,
    SessionStoreFactory,
)
from lashstore.hosting.plan import build_plan
from lashstore.hosting.runner import RunEvents, run_plan
from lashstore.hosting.transcript import read_transcript

from .kit import (
    HISTORY,
    assert_complains,
    files_of,
    picture_of,
    replay,
    run,
)


def test_another_transcript_is_refused(transcript, root, tmp_path):
    """
    A session takes one transcript only.
    """
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"history": HISTORY[:-1]}))
    replay(transcript, root)
    before = files_of(root)

    result = replay(other, root)

    assert_complains(result, 1, "'s' holds another transcript", "nothing was changed")
    assert before == files_of(root)


def test_a_session_begun_with_another_transcript_is_refused(
    transcript, place, tmp_path
):
    """
    It is refused even if the other run died before its first commit.
    """

    class Dies(RunEvents):
        def on_turns_done(self, _count):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_plan(build_plan(read_transcript(transcript)), place, "s", events=Dies())
    other = tmp_path / "other.json"
    other.write_text(json.dumps({"history": HISTORY[:-1]}))

    assert_complains(replay(other, place), 1, "begun with another transcript")
    assert 0 == replay(transcript, place).exit_code


def test_a_foreign_session_is_refused(transcript, place):
    """
    A session that no replay made is not written into.
    """
    draft = PendingTurnInputDraft(ingress=NextTurnIngress(), input="mine")
    with SessionStoreFactory(place) as factory, factory.create_store("s") as store:
        mine = store.enqueue_pending_turn_input(draft)

    assert_complains(replay(transcript, place), 1, "has inputs that are not")

    with (
        SessionStoreFactory(place) as factory,
        factory.open_existing_store("s") as store,
    ):
        assert (mine,) == store.list_pending_turn_inputs()
        assert None is store.load_session_head_meta()


def test_a_changed_session_is_refused(transcript, place):
    """
    A finished session that somebody has changed since is not called finished.
    """
    replay(transcript, place)
    with (
        SessionStoreFactory(place) as factory,
        factory.open_existing_store("s") as store,
    ):
        store.tombstone_nodes(["node-000003"])

    assert_complains(replay(transcript, place), 1, "has been changed since")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ("the file is empty",)),
        (b"\x00\x01\xff", ("not a text file in UTF-8", "offset 2")),
        (b'{"history": []}', ("has no messages",)),
        (b'{"role": "user", "content": "a"}\n{"role"\n', ("line 2 column 8",)),
        (b'{"history": [{"role": "robot"}]}', ("history[0]", "'robot'")),
    ],
)
def test_no_transcript_no_session(tmp_path, root, content, words):
    """
    A bad transcript is one clear line, and leaves no folder behind.
    """
    bad = tmp_path / "bad.json"
    bad.write_bytes(content)

    assert_complains(replay(bad, root), 1, "bad.json", *words)
    assert not root.exists()


def test_missing_transcript(tmp_path, root):
    """
    A missing file and a folder are named.
    """
    assert_complains(replay(tmp_path / "none.json", root), 1, "none.json: No such file")
    assert_complains(replay(tmp_path, root), 1, "Is a directory")
    assert not root.exists()


def test_an_unreachable_server(transcript, tmp_path):
    """
    A server that is not there is one line, without the password.
    """
    url = f"postgresql+psycopg://me:s3cret@/db?host={tmp_path}"
    result = replay(transcript, url)

    assert_complains(result, 1, "cannot be reached: try again")
    assert "s3cret" not in result.stderr


def test_wrong_arguments(transcript, root, tmp_path):
    """
    Wrong arguments exit with 2 and one line.
    """
    url = "mysql://host/db"
    assert_complains(replay(transcript, url), 2, "'mysql' is no engine of lashstore")
    assert_complains(replay(transcript, transcript), 2, "is a file")
    assert_complains(run("replay", transcript), 2, "--root", "replay --help")
    assert_complains(run("reply"), 2, "reply")


@pytest.mark.parametrize("session_id", ["a\0b", "\udcff", " "])
def test_impossible_session_ids(transcript, root, session_id):
    """
    An id that cannot be stored is refused before anything is made.
    """
    assert_complains(replay(transcript, root, session_id), 1, "session id")
    assert not root.exists()


def test_damaged_attachment_is_an_error(transcript, root):
    """
    The summary of a session reads its attachments.
    """
    replay(transcript, root)
    (attachment_id,) = picture_of(transcript, root).attachments
    FileAttachmentStore(root / "attachments").delete(attachment_id)

    assert_complains(replay(transcript, root), 1, attachment_id)

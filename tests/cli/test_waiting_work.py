"""
`lashstore queue` and `lashstore inputs`.
"""

import json
import shutil
import sqlite3

import pytest
from damage import rich

from lashstore import AesGcmCipher, ManualClock, Store, StoreOptions
from lashstore.testing import next_turn_draft, turn_work_draft

from .kit import assert_complains, files_of, run

INPUTS = ["redeferred", "pending", "accepted", "deferred", "deferred-2"]


@pytest.fixture(name="original", scope="module")
def _original(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "chat.db"
    rich.build(path)
    return path


@pytest.fixture(name="chat")
def _chat(original, tmp_path):
    (tmp_path / "sessions").mkdir()
    return shutil.copy(original, tmp_path / "sessions" / "chat.db")


@pytest.fixture(name="url")
def _url(postgres):
    yield postgres.url()
    postgres.clear()


def edit(path, statement):
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def answer(*arguments, exit_code=0):
    done = run(*arguments, "--json")
    assert done.exit_code == exit_code, done.output
    return json.loads(done.stdout)


def test_queue_tells_state_class_claim_and_items(chat):
    """
    Batches come in the order of claims, with all that was enqueued.
    """
    page = answer("queue", chat)

    claimed, free, command = page["batches"]
    assert [None, [], "rich/1"] == [
        page["next_after"],
        page["damaged"],
        page["session_id"],
    ]
    assert ["claim_expired", "ready", "ready"] == [
        each["state"] for each in page["batches"]
    ]
    assert ["turn_work", "turn_work", "session_command"] == [
        each["work_class"] for each in page["batches"]
    ]
    assert [{"n": 1}, {"n": 2}] == [
        item["payload"]["body"] for item in claimed["items"]
    ]
    assert {"group": "a", "kind": "group"} == claimed["merge_key"]
    assert ("runner", "runner:1", 2_000_000, False) == tuple(
        claimed["claim"][name]
        for name in ("owner_id", "incarnation_id", "expires_at_ms", "is_live")
    )
    assert (None, "after_current_turn_commit") == (
        free["claim"],
        free["delivery_policy"],
    )
    assert ("batch-command", 5) == (command["source_key"], command["available_at_ms"])


def test_tokens_are_never_shown(chat):
    """
    What proves a claim is not printed.
    """
    connection = sqlite3.connect(chat)
    (token,) = connection.execute(
        "SELECT claim_token FROM session_queued_batches WHERE claim_token IS NOT NULL"
    ).fetchone()
    connection.close()

    for command in ("queue", "inputs"):
        assert token not in run(command, chat, "--json").output


def test_states_follow_the_clock(tmp_path):
    """
    Work waits until its time, and a claim is live until its end.
    """
    path = tmp_path / "later.db"
    with Store.open(path, "later") as store:
        store.enqueue_queued_work(turn_work_draft(1, available_at_ms=2**62))
        store.enqueue_queued_work(turn_work_draft(2))

    assert ["waiting", "ready"] == [
        each["state"] for each in answer("queue", path)["batches"]
    ]
    assert f"{2**62} ms" in run("queue", path).stdout


def test_inputs_show_what_may_still_be_used(chat):
    """
    Open inputs come in order; with --all come all, the latest first.
    """
    page = answer("inputs", chat)

    assert INPUTS == [each["input_id"] for each in page["inputs"]]
    accepted = page["inputs"][2]
    assert ("accepted", "t8", "after_work", {"text": "accepted"}) == tuple(
        accepted[name] for name in ("state", "turn_id", "min_boundary", "input")
    )
    assert "runner" == accepted["claim"]["owner_id"]
    assert None is page["inputs"][0]["turn_id"]
    assert {"scope": "active_turn", "turn_id": "t1", "min_boundary": "after_work"} == (
        page["inputs"][0]["submitted_ingress"]
    )
    everything = answer("inputs", chat, "--all")["inputs"]
    assert ["cancelled", *reversed(INPUTS), "completed"] == [
        each["input_id"] for each in everything
    ]


@pytest.mark.parametrize(
    ("command", "member"),
    [(("queue",), "batches"), (("inputs",), "inputs"), (("inputs", "--all"), "inputs")],
)
def test_pages_join_up(chat, command, member):
    """
    Page by page comes what one page has, each page naming the next.
    """
    name, *options = command
    whole = answer(name, chat, *options)[member]
    pages, after = [], []
    while True:
        page = answer(name, chat, *options, "--limit", "2", *after)
        pages += page[member]
        if page["next_after"] is None:
            break
        after = ["--after", page["next_after"]]

    # What a claim's state is may not change meanwhile: all of them are over.
    assert whole == pages
    assert "go on with --after" in run(name, chat, *options, "--limit", "1").stderr


def test_a_damaged_row_is_told_and_hides_no_other(chat):
    """
    What does not verify is named with its key, on stderr or in JSON, and the
    exit code is 1.
    """
    edit(
        chat,
        'UPDATE session_turn_inputs SET input_json = \'{"text":"x"}\''
        " WHERE input_id = 'pending'",
    )
    edit(
        chat,
        "UPDATE session_queued_batches SET source_key = 'other' WHERE enqueue_seq = 9",
    )

    page = answer("inputs", chat, exit_code=1)
    assert [each for each in INPUTS if each != "pending"] == [
        each["input_id"] for each in page["inputs"]
    ]
    (damaged,) = page["damaged"]
    assert ("session_turn_inputs", "pending") == (damaged["table"], damaged["key"])
    done = run("queue", chat)
    assert 1 == done.exit_code
    assert "DAMAGED session_queued_batches qwb:" in done.stderr
    assert 3 == len(done.stdout.splitlines())
    assert "lashstore verify" in done.stderr


def test_text_that_is_none_is_told(chat):
    """
    A row whose text does not decode is told, and the others are read.
    """
    edit(
        chat,
        "UPDATE session_turn_inputs SET input_json = CAST(x'80ff' AS TEXT)"
        " WHERE input_id = 'pending'",
    )

    page = answer("inputs", chat, exit_code=1)

    assert ["pending"] == [each["key"] for each in page["damaged"]]
    assert 4 == len(page["inputs"])


def test_sealed_content_is_told(tmp_path):
    """
    Of a sealed session, rows are shown without their content, saying so.
    """
    path = tmp_path / "sealed.db"
    options = StoreOptions(cipher=AesGcmCipher({"k": b"k" * 32}, "k"))
    with Store.open(
        path, "sealed", options=options, clock=ManualClock(1_000_000)
    ) as store:
        store.enqueue_queued_work(turn_work_draft("secret-batch"))
        store.enqueue_pending_turn_input(next_turn_draft("secret-input"))

    queue, inputs = answer("queue", path), answer("inputs", path)

    assert queue["is_sealed"] is inputs["is_sealed"] is True
    assert [(None, "ready")] == [(b["items"], b["state"]) for b in queue["batches"]]
    assert [(None, "deferred_next_turn")] == [
        (i["input"], i["state"]) for i in inputs["inputs"]
    ]
    for command in ("queue", "inputs"):
        done = run(command, path)
        assert 0 == done.exit_code
        assert "is sealed" in done.stderr
        assert "secret" not in done.output


def test_a_server_is_read_alike(url):
    """
    A session on a server is shown as one in a file, while it is written.
    """
    with Store.open(url, "s") as store:
        batch = store.enqueue_queued_work(turn_work_draft("on a server"))
        store.enqueue_pending_turn_input(next_turn_draft("said"))

        queue = answer("queue", url, "--session", "s")
        inputs = answer("inputs", url, "-s", "s", "--all")

    assert [(batch.batch_id, "ready")] == [
        (each["batch_id"], each["state"]) for each in queue["batches"]
    ]
    assert ["said"] == [each["input"] for each in inputs["inputs"]]


def test_looking_leaves_no_trace_while_a_host_writes(chat):
    """
    Nothing is made or changed, closed or open, and open work is seen.
    """
    before = files_of(chat.parent)
    for command in ("queue", "inputs"):
        assert 0 == run(command, chat).exit_code
    assert before == files_of(chat.parent)

    # Which holds the write lock.
    with rich.open_rich(chat) as store, store.transaction():
        assert 3 == len(answer("queue", chat)["batches"])


@pytest.mark.parametrize("command", ["queue", "inputs"])
def test_mistakes(command, chat, tmp_path):
    """
    A user's mistake is one line and no traceback.
    """
    assert_complains(run(command, chat, "--after", "x"), 1, "'x' is no number")
    assert_complains(run(command, chat, "--after", str(2**63)), 1, "no number")
    assert_complains(run(command, tmp_path / "absent.db"), 1, "absent.db")
    assert_complains(run(command, chat.parent), 2, "--session")
    assert_complains(run(command, chat, "--limit", "0"), 2, "--limit")
    assert_complains(run(command), 2, "TARGET")
    text = " ".join(run(command, "--help").output.split())
    assert f"Examples: lashstore {command}" in text
    assert "Exit code 0" in text

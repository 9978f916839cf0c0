"""
Reading transcripts: what is one, and what is said of what is none.
"""

import json

import pytest

from lashstore.hosting.errors import TranscriptError
from lashstore.hosting.transcript import parse_transcript, read_transcript

USER = {"role": "user", "content": "hi"}


def test_object_with_history_is_read():
    """
    The messages are those of `history`, whatever stands beside it.
    """
    content = json.dumps({"history": [USER], "info": {}}).encode()

    transcript = parse_transcript(content, "some/talk.json")

    assert ("talk", (USER,)) == (transcript.name, transcript.messages)


@pytest.mark.parametrize("end", ["", "\n", "\r\n\n"])
def test_json_lines_are_read(end):
    """
    One message a line; blank lines do not count.
    """
    reply = {"role": "assistant", "content": "a\u2028b"}
    content = "\n".join(json.dumps(m, ensure_ascii=False) for m in (USER, reply)) + end

    assert (USER, reply) == parse_transcript(content.encode(), "t").messages


def test_one_line_is_a_transcript():
    """
    A file with a single message object is JSON Lines of one line.
    """
    assert (USER,) == parse_transcript(json.dumps(USER).encode(), "t").messages


def test_fingerprint_is_of_the_messages_alone():
    """
    Form, white space and key order do not change what was said.
    """
    lines = parse_transcript(b'{"role":"user","content":"hi"}\n', "a.jsonl")
    whole = parse_transcript(
        b'{"history": [{"content": "hi",\n "role": "user"}], "info": 1}', "b.json"
    )

    assert lines.fingerprint() == whole.fingerprint()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "t: the file is empty"),
        (b" \n\t", "t: the file is empty"),
        (b"\x89PNG\r\n\x1a\n", "byte 0x89 at offset 0"),
        (b"\xff\xfe{\x00", "byte 0xff at offset 0"),
        (b"hello", "t, line 1 column 1: not JSON"),
        (b'{"history": [\n  {"role": ]}', "t, line 2 column 12: not JSON"),
        (b"[]", "t: the file holds a list; expected an object with `history`"),
        (b"3", "t: the file holds a number"),
        (b"null", "t: the file holds null"),
        (b"{}", "t: the object has no `history`"),
        (b'{"history": "x"}', "`history` must be a list of messages, not text"),
        (b'{"history": []}', "t: the transcript has no messages"),
        (b'{"history": [NaN]}', "NaN is not a JSON number"),
        (b'{"history": [1' + b"0" * 5000 + b"]}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
    ],
)
def test_what_is_no_transcript(content, complaint):
    """
    The error names what is wrong and where.
    """
    with pytest.raises(TranscriptError) as caught:
        parse_transcript(content, "t")

    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('{"role": "user"', "t, line 3 column 16: not JSON"),
        ("[1]", "t, line 3: a message must be an object"),
        ('{"role": "user", "content": NaN}', "t, from line 3 on: not JSON (NaN"),
        ('{"role": "user"}', "t, line 3: `content` is missing"),
    ],
)
def test_a_bad_line_is_named_by_its_number(line, complaint):
    """
    Lines count from one, blank ones included.
    """
    content = f"{json.dumps(USER)}\n\n{line}\n{json.dumps(USER)}\n"

    with pytest.raises(TranscriptError) as caught:
        parse_transcript(content.encode(), "t")

    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        ("hi", "a message must be an object"),
        ({"content": "hi"}, "`role` must be one of"),
        ({"role": ["user"], "content": "hi"}, "`role` must be one of"),
        ({"role": "user", "content": 1}, "`content` must be text or a list of parts"),
        ({"role": "assistant", "content": None}, "`content` is missing"),
        (USER | {"content": ["hi"]}, "`content[0]` must be an object with a `type`"),
        (USER | {"content": [{"type": "text"}]}, "`content[0].text` must be text"),
        (USER | {"tool_calls": {}}, "`tool_calls` must be a list"),
        (USER | {"tool_calls": [{}]}, "`tool_calls[0]` must be an object with an `id`"),
        (USER | {"tool_calls": [{"id": "1"}]}, "`tool_calls[0].function`"),
        (USER | {"tool_call_ids": "1"}, "`tool_call_ids` must be a list"),
        (USER | {"tool_call_id": 1}, "`tool_call_id` must be text"),
        (USER | {"model": "a\0b"}, "`model` must be text"),
        (USER | {"content": "\ud800"}, "cannot be stored"),
        (
            {"role": "assistant", "content": "", "usage": {"input_tokens": -1}},
            "`usage.input_tokens` must be a count of tokens",
        ),
    ],
)
def test_a_bad_message_is_named_by_its_place(message, complaint):
    """
    Every message is checked, with its place in the history.
    """
    content = json.dumps({"history": [USER, message]}).encode()

    with pytest.raises(TranscriptError) as caught:
        parse_transcript(content, "t")

    assert str(caught.value).startswith("t, history[1]: ")
    assert complaint in str(caught.value)


def test_deep_messages_are_refused():
    """
    Nesting that an encoder could not walk is found before anything is made.
    """
    deep = json.loads("[" * 150 + "]" * 150)
    content = json.dumps({"history": [USER | {"extra": deep}]}).encode()

    with pytest.raises(TranscriptError, match="nested more than 100 levels deep"):
        parse_transcript(content, "t")


def test_missing_file(tmp_path):
    """
    A file that is not there is named.
    """
    with pytest.raises(TranscriptError, match=r"nothing\.json: No such file"):
        read_transcript(tmp_path / "nothing.json")

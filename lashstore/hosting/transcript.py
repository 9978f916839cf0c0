"""
Read a transcript: find the messages in a file and check every one of them.
"""

import json
from pathlib import Path

from lashstore import codec
from lashstore.errors import InvalidArgumentError
from lashstore.model.record import Json, Record

from .errors import TranscriptError
from .messages import check_message


class Transcript(Record, frozen=True, kw_only=True):
    """
    A conversation in order: chat messages as they were recorded.
    """

    name: str
    messages: tuple[Json, ...]

    def fingerprint(self) -> str:
        """
        Hash the messages, whatever the file's name, form and white space.
        """
        return codec.hash_json(list(self.messages), "the transcript")


def read_transcript(path: Path) -> Transcript:
    """
    Read and check a transcript file; nothing else is touched.

    Raises:
        TranscriptError: The file cannot be read, or is no transcript.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        msg = f"{path}: {error.strerror or error}"
        raise TranscriptError(msg) from error
    return parse_transcript(content, str(path))


def parse_transcript(content: bytes, source: str) -> Transcript:
    """
    Read and check a transcript.

    Args:
        content: UTF-8 text: an object whose `history` lists chat messages,
            or JSON Lines with one chat message a line.

        source: What errors call it; its last part names the transcript.

    Raises:
        TranscriptError: It is neither, or a message is none.
    """
    located = _locate_messages(_decode(content, source), source)
    if not located:
        msg = f"{source}: the transcript has no messages"
        raise TranscriptError(msg)
    for where, message in located:
        _check(f"{source}, {where}", message)
    # A file name may hold bytes that are no text; a session's name may not.
    name = Path(source).stem.encode(errors="replace").decode()
    return Transcript(name=name, messages=tuple(message for _, message in located))


def _decode(content: bytes, source: str) -> str:
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        byte = content[error.start]
        msg = (
            f"{source}: not a text file in UTF-8 (byte 0x{byte:02x} at offset "
            f"{error.start}); a transcript is JSON or JSON Lines"
        )
        raise TranscriptError(msg) from error
    if not text.strip():
        msg = f"{source}: the file is empty"
        raise TranscriptError(msg)
    return text


def _locate_messages(text: str, source: str) -> list[tuple[str, Json]]:
    # Only "\n" separates lines: U+2028 and its like may stand inside a string.
    lines = text.split("\n")
    try:
        whole = _parse_json(text, source)
    except TranscriptError:
        # JSON Lines, if the first line is a value of its own; else the whole
        # file is meant as one value, and its own error says where it breaks.
        if not _is_json(next(line for line in lines if line.strip())):
            raise
        return _parse_lines(lines, source)
    if isinstance(whole, dict) and "role" in whole and "history" not in whole:
        return _parse_lines(lines, source)
    return _parse_history(whole, source)


def _parse_lines(lines: list[str], source: str) -> list[tuple[str, Json]]:
    return [
        (f"line {number}", _parse_json(line, source, first_line=number))
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]


def _parse_history(whole: Json, source: str) -> list[tuple[str, Json]]:
    if not isinstance(whole, dict):
        msg = (
            f"{source}: the file holds {_kind(whole)}; expected an object with "
            "`history`, or one chat message a line"
        )
        raise TranscriptError(msg)
    if "history" not in whole:
        msg = (
            f"{source}: the object has no `history`; expected a list of chat "
            "messages there, or one chat message a line"
        )
        raise TranscriptError(msg)
    history = whole["history"]
    if not isinstance(history, list):
        msg = f"{source}: `history` must be a list of messages, not {_kind(history)}"
        raise TranscriptError(msg)
    return [(f"history[{index}]", message) for index, message in enumerate(history)]


def _parse_json(text: str, source: str, *, first_line: int = 1) -> Json:
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        line = first_line + error.lineno - 1
        msg = f"{source}, line {line} column {error.colno}: not JSON ({error.msg})"
        raise TranscriptError(msg) from error
    except (ValueError, RecursionError) as error:
        # NaN, a number of thousands of digits, nesting without end.
        msg = f"{source}, from line {first_line} on: not JSON ({error})"
        raise TranscriptError(msg) from error


def _is_json(line: str) -> bool:
    try:
        _parse_json(line, "")
    except TranscriptError:
        return False
    return True


def _refuse_constant(name: str) -> None:
    msg = f"{name} is not a JSON number"
    raise ValueError(msg)


def _check(where: str, message: Json) -> None:
    complaint = check_message(message)
    if complaint is None:
        try:
            codec.encode_json(message, "the message")
        except InvalidArgumentError as error:
            complaint = str(error)
    if complaint is not None:
        msg = f"{where}: {complaint}"
        raise TranscriptError(msg)


def _kind(value: Json) -> str:
    kinds = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else kinds.get(type(value), "a number")

"""
Large values are checked another way than small ones, and as strictly.
"""

import datetime as dt
import decimal
import enum
import math
import uuid

import pytest

from lashstore import codec
from lashstore.errors import InvalidArgumentError

# Above the size from which a value is walked before it is read back.
TEXT = "x" * 100_000
MANY = list(range(50_000))


class Colour(enum.StrEnum):
    """
    Text that an encoder writes as its value.
    """

    RED = "red"


NOT_PLAIN = (
    math.nan,
    math.inf,
    -math.inf,
    decimal.Decimal("1.5"),
    dt.date(2026, 1, 1),
    uuid.UUID(int=1),
    {"a"},
    bytearray(b"b"),
    {1: "number"},
    {None: 1},
    "\ud800",
)


def _hidden(value, ballast):
    return {"ballast": ballast, "list": [{"deep": [value]}], "after": 1.5}


@pytest.mark.parametrize("ballast", [TEXT, MANY], ids=["text", "many"])
@pytest.mark.parametrize(
    "write", [codec.encode_value, codec.encode_json, codec.hash_json]
)
@pytest.mark.parametrize("value", NOT_PLAIN, ids=repr)
def test_what_would_read_back_as_something_else_is_refused(value, write, ballast):
    """
    However large the value around it is.
    """
    if isinstance(value, bytearray) and write is not codec.encode_json:
        pytest.skip("equal to the bytes it is stored as")

    with pytest.raises(InvalidArgumentError):
        write(_hidden(value, ballast), "the value")


@pytest.mark.parametrize("ballast", [TEXT, MANY], ids=["text", "many"])
def test_plain_data_reads_back_as_given(ballast):
    """
    Tuples as lists, and an enumeration's text as its text.
    """
    value = _hidden([None, True, -1, 0.5, "é", b"\0", (1, 2), Colour.RED], ballast)

    encoded = codec.encode_value(value, "the value")

    assert codec.decode_value(encoded, "ref") == _hidden(
        [None, True, -1, 0.5, "é", b"\0", [1, 2], "red"], ballast
    )


def test_bytes_are_no_json():
    """
    Base64 is not what was given.
    """
    with pytest.raises(InvalidArgumentError, match="bytes is not plain data"):
        codec.encode_json({"text": TEXT, "bytes": b"b"}, "the value")

"""
What selectors find, and how it reads as text.
"""

import pytest

from lashstore import (
    ConstSelector,
    PayloadSelector,
    PointerSelector,
    PresentSelector,
    Selector,
    TemplateSelector,
    codec,
)
from lashstore.model.selectors import SelectorError, is_truthy, render, select

DOCUMENT = {"a": {"b": [10, {"c": None}]}, "": 1, "x/y": 2, "m~n": 3, "~1": 4}


@pytest.mark.parametrize(
    ("pointer", "found"),
    [
        ("", DOCUMENT),
        ("/", 1),
        ("/a/b/0", 10),
        ("/a/b/1/c", None),
        ("/x~1y", 2),
        ("/m~0n", 3),
        ("/~01", 4),
    ],
)
def test_a_pointer_finds_a_value(pointer, found):
    """
    By RFC 6901; a null is a value.
    """
    assert found == select(PointerSelector(pointer=pointer), DOCUMENT)
    assert select(PresentSelector(pointer=pointer), DOCUMENT) is True


@pytest.mark.parametrize(
    "pointer",
    ["a", "/b", "/a/b/2", "/a/b/01", "/a/b/-1", "/a/b/+1", "/a/b/-", "/a/b/x", "/a/b/0/x", "/a/b/٠", "/a/b/" + "9" * 5000],
    ids=lambda pointer: pointer[:10],
)  # fmt: skip
def test_a_pointer_that_leads_nowhere_is_an_error(pointer):
    """
    It says which one; asking whether it is there is none.
    """
    with pytest.raises(SelectorError):
        select(PointerSelector(pointer=pointer), DOCUMENT)
    assert select(PresentSelector(pointer=pointer), DOCUMENT) is False


def test_the_payload_and_a_constant():
    """
    The simplest two.
    """
    assert DOCUMENT == select(PayloadSelector(), DOCUMENT)
    assert [1] == select(ConstSelector(value=[1]), DOCUMENT)


def test_a_template_is_filled_in_one_pass():
    """
    What a field selects is never expanded again.
    """
    template = TemplateSelector(
        template="{a} {b} {c} {a}{ab}{}",
        fields={
            "a": PointerSelector(pointer="/a"),
            "b": PointerSelector(pointer="/b"),
            "ab": ConstSelector(value=[1, "é"]),
        },
    )

    found = select(template, {"a": "{b}", "b": "{a}"})

    assert '{b} {a} {c} {b}[1,"é"]{}' == found


def test_a_template_without_fields_is_its_text():
    """
    Braces and all; backslashes in values are no escapes.
    """
    assert "{a}" == select(TemplateSelector(template="{a}"), {})
    fields = {"a+": ConstSelector(value="\\1\\g<0>")}
    assert "\\1\\g<0>" == select(TemplateSelector(template="{a+}", fields=fields), {})


def test_a_template_fails_with_its_fields():
    """
    A field that finds nothing is an error even if it is not used.
    """
    fields = {"a": PointerSelector(pointer="/a")}
    with pytest.raises(SelectorError):
        select(TemplateSelector(template="", fields=fields), {})


@pytest.mark.parametrize(
    ("value", "truthy", "text"),
    [
        (None, False, "null"),
        (False, False, "false"),
        (True, True, "true"),
        (0, True, "0"),
        (0.0, True, "0.0"),
        (1.5, True, "1.5"),
        ("", False, ""),
        ("0", True, "0"),
        ([], False, "[]"),
        ([0], True, "[0]"),
        ({}, False, "{}"),
        ({"b": 1, "a": "é"}, True, '{"a":"é","b":1}'),
    ],
    ids=str,
)
def test_values_as_conditions_and_as_text(value, truthy, text):
    """
    Every number is true, 0 too; text stands for itself.
    """
    assert truthy is is_truthy(value)
    assert text == render(value)


def test_selectors_have_a_json_form():
    """
    Nested ones as well.
    """
    nested = TemplateSelector(
        template="{a}",
        fields={
            "a": TemplateSelector(
                template="{b}", fields={"b": PointerSelector(pointer="/b")}
            )
        },
    )
    for selector in (
        nested,
        PayloadSelector(),
        ConstSelector(value={"a": None}),
        PresentSelector(pointer="/a"),
    ):
        assert selector == codec.from_json(Selector, codec.to_json(selector))

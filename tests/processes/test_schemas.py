"""
Which documents are schemas, and what payloads get wrong.
"""

import subprocess
import sys
import threading

import pytest

from lashstore import InvalidArgumentError
from lashstore.model.schemas import compile_schema

LIST = {
    "type": "object",
    "properties": {"a": {"type": "array", "items": {"type": "integer"}}},
    "required": ["a"],
}


def nested(depth):
    """
    Make a schema this deep.
    """
    schema = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


@pytest.mark.parametrize(
    "schema",
    [
        {},
        True,
        False,
        LIST,
        {"$schema": "https://json-schema.org/draft/2020-12/schema"},
        {"$schema": "https://json-schema.org/draft/2020-12/schema#"},
        {"type": ("string", "null")},
        {"properties": {"a": {"$ref": "#"}}},
        {"$defs": {"a": {"$anchor": "here"}}, "$ref": "#here"},
        {"$dynamicRef": "#x", "$defs": {"q": {"$dynamicAnchor": "x"}}},
        {"$id": "http://a/b", "items": {"$ref": "http://a/b"}},
        {"properties": {"$ref": {"type": "string"}}},
        {"enum": [{"$ref": "http://elsewhere"}]},
        {"x-note": {"$ref": "http://elsewhere"}},
        nested(50),
    ],
    ids=lambda schema: str(schema)[:50],
)
def test_schemas_are_compiled(schema):
    """
    References may lead anywhere inside, and `$ref` may be a mere name.
    """
    compile_schema(schema)


@pytest.mark.parametrize(
    "document",
    [
        None,
        1,
        "object",
        [],
        {"type": "text"},
        {"required": "a"},
        {"minimum": "1"},
        {"pattern": "("},
        {"patternProperties": {"(": {}}},
        {"$schema": "http://json-schema.org/draft-07/schema#"},
        {"$schema": 5},
        {"items": {"$id": "a", "$schema": "http://json-schema.org/draft-04/schema#"}},
        {"$ref": "http://elsewhere/schema"},
        {"$ref": "https://json-schema.org/draft/2020-12/schema"},
        {"$ref": "file:///etc/passwd"},
        {"$dynamicRef": "http://elsewhere#x"},
        {"allOf": [{"not": {"items": {"$ref": "other.json#/a"}}}]},
        {"$ref": "#/x/y", "x": {"y": {"$ref": "http://elsewhere"}}},
        {"$ref": "#/default", "default": 5},
        {"$ref": "#/nowhere"},
        {"$ref": "#nowhere"},
        {"$ref": "//[x"},
        {"$id": "http://a", "items": {"$id": "//[x", "$ref": "#"}},
        {"$ref": "#"},
        {"allOf": [{"anyOf": [{"$ref": "#"}]}]},
        {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"not": {"$ref": "#/$defs/a"}}}},
        {"const": float("nan")},
        {"const": "\ud800"},
        {"const": b"bytes"},
        nested(500),
        nested(5_000),
    ],
)  # fmt: skip
def test_other_documents_are_refused(document):
    """
    Nothing is fetched, and nothing that never ends is accepted.
    """
    with pytest.raises(InvalidArgumentError):
        compile_schema(document)


@pytest.mark.parametrize(
    ("schema", "payload", "told"),
    [
        (LIST, {"a": []}, None),
        (LIST, {"a": [1, 1.0]}, None),
        (LIST, {"a": [1, "x"]}, "$.a[1]: 'x' is not of type 'integer'"),
        (LIST, {"a": [True]}, "$.a[0]: True is not of type 'integer'"),
        (LIST, {}, "$: 'a' is a required property"),
        (LIST, None, "$: None is not of type 'object'"),
        ({"properties": {"a b": {"const": 1}}}, {"a b": 2}, "$['a b']: 1 was expected"),
        (True, [object], None),
        ({"enum": [1]}, True, "$: True is not one of [1]"),
        ({"items": {"$ref": "#"}, "type": "array"}, [[[5]]], "$[0][0][0]: 5 is not of type 'array'"),
    ],
    ids=str,
)  # fmt: skip
def test_mistakes_are_told_with_their_path(schema, payload, told):
    """
    One sentence, which begins with where it is.
    """
    assert told == compile_schema(schema).error_of(payload)


def test_a_payload_too_deep_to_check_is_a_mistake():
    """
    Recursive schemas end somewhere.
    """
    schema = compile_schema({"properties": {"a": {"$ref": "#"}}, "type": "object"})
    payload = {}
    for _ in range(600):
        payload = {"a": payload}

    assert "too deeply" in schema.error_of(payload)


def test_a_mistake_does_not_repeat_a_whole_payload():
    """
    Messages stay short, however large the value.
    """
    told = compile_schema({"type": "integer"}).error_of("x" * 10**6)

    assert len(told) < 500


def test_equal_schemas_are_compiled_once():
    """
    Whatever the order of their keys.
    """
    first = compile_schema({"type": "object", "minProperties": 1})

    assert first is compile_schema({"minProperties": 1, "type": "object"})
    assert first is not compile_schema({"minProperties": 1.0, "type": "object"})


def test_one_schema_serves_many_threads():
    """
    Compiled schemas hold no state of a check.
    """
    schema, wrong = compile_schema(LIST), []

    def check(n):
        for _ in range(50):
            if schema.error_of({"a": [n]}) is not None:
                wrong.append(n)
            if schema.error_of({"a": [str(n)]}) is None:
                wrong.append(n)

    threads = [threading.Thread(target=check, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == wrong


def test_jsonschema_is_imported_late():
    """
    A process that restricts no payload never pays for it.
    """
    code = (
        "import sys\n"
        "from lashstore import *\n"
        "r = ProcessRegistry.memory()\n"
        "r.register_process(ProcessRegistration(id='p', input=ExternalInput(),\n"
        "    disposition='externally_owned',\n"
        "    provenance=ProcessProvenance(originator=HostOriginator())))\n"
        "r.complete_process('p', SuccessOutput(value=1))\n"
        "sys.exit('jsonschema' in sys.modules)\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

"""
JSON Schema 2020-12: which documents are schemas, and what a payload gets
wrong. Nothing is ever fetched; jsonschema is imported by the first schema
that restricts anything.
"""

import functools
import graphlib
import itertools
from collections.abc import Iterator
from typing import Any

from lashstore import codec
from lashstore.errors import InvalidArgumentError

from .record import Json

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_CACHED_SCHEMAS = 1024
_WEIGHED_ERRORS = 50
_LONGEST_MESSAGE = 400
# Keywords whose schemas look at the very value their parent looks at.
_IN_PLACE = ("not", "if", "then", "else")
_IN_PLACE_LISTS = ("allOf", "anyOf", "oneOf")


class CompiledSchema:
    """
    A schema made ready to check payloads; may be shared between threads.
    """

    def __init__(self, validator: Any = None) -> None:
        """
        Args:
            validator: Of jsonschema; None accepts everything.
        """
        self._validator = validator

    def error_of(self, payload: Json) -> str | None:
        """
        Say what is wrong with *payload*, and where: `$.a[0]: ...`.

        Args:
            payload: Plain data; a tuple is no JSON array here.

        Returns:
            One sentence about the most telling mistake; None: it is valid.
        """
        if self._validator is None:
            return None
        from jsonschema.exceptions import best_match  # noqa: PLC0415, imported late

        try:
            errors = self._validator.iter_errors(payload)
            error = best_match(itertools.islice(errors, _WEIGHED_ERRORS))
        except RecursionError:
            return "$: it is nested too deeply to be checked"
        except ArithmeticError as failure:
            return f"$: it holds a number that cannot be checked ({failure})"
        return None if error is None else _describe(error)


def compile_schema(schema: Json) -> CompiledSchema:
    """
    Check a schema and make it ready; equal schemas are compiled once.

    Args:
        schema: A JSON Schema 2020-12 document: an object or a boolean. Its
            references must lead to places inside itself.

    Raises:
        InvalidArgumentError: It is no such schema, or never ends: a chain of
            references that comes back to where it began.
    """
    return _compile(codec.encode_json(schema, "a schema"))


@functools.lru_cache(maxsize=_CACHED_SCHEMAS)
def _compile(text: str) -> CompiledSchema:
    if text in ("{}", "true"):
        return CompiledSchema()
    from jsonschema import Draft202012Validator  # noqa: PLC0415, imported late
    from referencing import Registry  # noqa: PLC0415, imported late

    schema: Json = codec.from_json(Any, text)
    try:
        _check_meta(schema)
        _check_references(schema)
    except InvalidArgumentError:
        raise
    except RecursionError as error:
        raise _no_schema("it is nested too deeply") from error
    except ValueError as error:
        raise _no_schema(str(error)) from error
    # An empty registry of its own: the default one would fetch.
    return CompiledSchema(Draft202012Validator(schema, registry=Registry()))


def _check_meta(schema: Json) -> None:
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415, imported late

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        raise _no_schema(_describe(error)) from None


def _check_references(schema: Json) -> None:
    # Walks every place that is a schema: those the keywords name, and those
    # references lead to, which may stand anywhere in the document.
    from referencing import Registry  # noqa: PLC0415, imported late
    from referencing.exceptions import Unresolvable  # noqa: PLC0415, imported late
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415, imported late

    root = DRAFT202012.create_resource(schema)
    pending: list[tuple[Any, Any]] = [(root, Registry().resolver_with_root(root))]
    seen_in_place: dict[int, set[int]] = {}
    while pending:
        resource, resolver = pending.pop()
        here = resource.contents
        if not isinstance(here, dict) or id(here) in seen_in_place:
            continue
        if here.get("$schema", _DIALECT).rstrip("#") != _DIALECT:
            raise _no_schema(f"$schema names {here['$schema']!r}, not {_DIALECT}")
        seen_in_place[id(here)] = {id(part) for part in _parts_in_place(here)}
        for keyword in ("$ref", "$dynamicRef"):
            if keyword not in here:
                continue
            try:
                found = resolver.lookup(here[keyword])
            except (Unresolvable, ValueError, TypeError) as error:
                msg = f"{keyword} {here[keyword]!r} leads to no place inside it"
                raise _no_schema(msg) from error
            _check_meta(found.contents)
            seen_in_place[id(here)].add(id(found.contents))
            target = DRAFT202012.create_resource(found.contents)
            pending.append((target, found.resolver))
        pending.extend(
            (part, resolver.in_subresource(part)) for part in resource.subresources()
        )
    try:
        graphlib.TopologicalSorter(seen_in_place).prepare()
    except graphlib.CycleError:
        raise _no_schema("its references go round in a circle") from None


def _parts_in_place(schema: dict[str, Any]) -> Iterator[Any]:
    for keyword in _IN_PLACE_LISTS:
        yield from schema.get(keyword, ())
    for keyword in _IN_PLACE:
        if keyword in schema:
            yield schema[keyword]
    yield from schema.get("dependentSchemas", {}).values()


def _no_schema(why: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"this is no JSON Schema 2020-12: {why}")


def _describe(error: Any) -> str:
    message = f"{error.json_path}: {error.message}"
    if len(message) > _LONGEST_MESSAGE:
        message = f"{message[:_LONGEST_MESSAGE]}…"
    return message

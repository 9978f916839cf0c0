"""
Brings our docstrings and records into the form that griffe reads.

* An Args entry may be about several arguments.
* A Raises entry may name several errors on several lines; one that names none
  ("As `Store.open`.") is a sentence of its own.
* A record's signature is made of its fields, as msgspec makes it.
* An enum's members are listed with their values.
* A public name in backticks leads to its place in the reference.
"""

import importlib
import re
from collections.abc import Iterator
from typing import Any

from griffe import (
    Alias,
    Attribute,
    Class,
    Extension,
    Function,
    Module,
    Object,
    Parameter,
    ParameterKind,
    Parameters,
)

_ENTRY = re.compile(r"(?P<names>\w*[.\w]*[A-Z]\w*(?:, [.\w]*[A-Z]\w*)*): (?P<says>.+)")
_SHARED = re.compile(
    r"^    (?P<names>[a-z_]+(?:, [a-z_]+)+): (?P<says>.*(?:\n {8,}.*)*)", re.MULTILINE
)
_CODE = re.compile(r"(?<!\[)`([A-Za-z_][\w.]*)(\(\))?`(?!\])")
_OTHER_PUBLIC = ("lashstore.aio", "lashstore.testing")


class House(Extension):
    """
    The house's docstrings and records.
    """

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """
        Rewrite what was loaded, before any of it is read.
        """
        if pkg.name != "lashstore":
            return
        public = _public_paths()
        for each in _objects(pkg):
            if isinstance(each, Class):
                _give_signature(each)
            if each.docstring:
                text = _with_raises(_with_arguments(each.docstring.value))
                if isinstance(each, Class) and _has_base(each, "Enum", "StrEnum"):
                    text += _members(each)
                each.docstring.value = _with_links(text, public, pkg)


def _objects(parent: Object) -> Iterator[Object]:
    yield parent
    for member in parent.members.values():
        if isinstance(member, Object):
            yield from _objects(member)


def _public_paths() -> dict[str, str]:
    lashstore = importlib.import_module("lashstore")
    paths = {name: f"lashstore.{name}" for name in lashstore.__all__}
    for module in _OTHER_PUBLIC:
        for name in importlib.import_module(module).__all__:
            paths.setdefault(name, f"{module}.{name}")
    return paths


def _with_arguments(text: str) -> str:
    """
    Give every argument an entry of its own, where several share one.
    """

    def apart(entry: re.Match[str]) -> str:
        says = " ".join(entry["says"].split())
        return "\n".join(f"    {name}: {says}" for name in entry["names"].split(", "))

    return _SHARED.sub(apart, text)


def _with_raises(text: str) -> str:
    """
    Give every Raises entry one line for its names, and put sentences after.
    """
    lines = text.split("\n")
    if "Raises:" not in lines:
        return text
    start = lines.index("Raises:") + 1
    end = start
    while end < len(lines) and (not lines[end] or lines[end].startswith(" ")):
        end += 1
    entries: list[str] = []
    for line in lines[start:end]:
        says = line.removeprefix("    ")
        is_more = says.startswith(" ") or (entries and _goes_on(entries[-1]))
        if is_more and entries:
            entries[-1] += " " + says.strip()
        elif says:
            entries.append(says)
    known = [entry for entry in entries if _ENTRY.match(entry)]
    each = [
        f"    {name}: {found['says']}"
        for found in map(_ENTRY.match, known)
        if found
        for name in found["names"].split(", ")
    ]
    others = [
        f"Raises {entry[0].lower()}{entry[1:]}"
        for entry in entries
        if entry not in known
    ]
    section = ["Raises:", *each, ""] if each else []
    after = [line for other in others for line in (other, "")]
    return "\n".join([*lines[: start - 1], *after, *section, *lines[end:]]).rstrip()


def _goes_on(entry: str) -> bool:
    return entry.endswith(",") or not (_ENTRY.match(entry) or entry.endswith("."))


def _with_links(text: str, public: dict[str, str], pkg: Module) -> str:
    def linked(code: re.Match[str]) -> str:
        name, _, member = code[1].partition(".")
        path = public.get(name)
        if path and "." not in member and (not member or _is_member(pkg, path, member)):
            return f"[{code[0]}][{path}{'.' if member else ''}{member}]"
        return code[0]

    return _CODE.sub(linked, text)


def _is_member(pkg: Module, path: str, member: str) -> bool:
    try:
        found: Object | Alias = pkg[path.removeprefix("lashstore.")]
        return (
            member in found.all_members
            and not member.startswith("_")
            and bool(found.all_members[member].docstring)
        )
    except Exception:  # noqa: BLE001, griffe has a dozen ways not to know
        return False


def _has_base(cls: Class, *names: str) -> bool:
    bases = [str(base).rpartition(".")[2] for base in cls.bases]
    if set(bases) & set(names):
        return True
    try:
        return any(_has_base(base, *names) for base in cls.resolved_bases)
    except Exception:  # noqa: BLE001
        return False


def _members(enum: Class) -> str:
    rows = [
        f"- `{name}` = `{member.value}`"
        for name, member in enum.members.items()
        if isinstance(member, Attribute) and member.value and not name.startswith("_")
    ]
    return "\n\nMembers:\n\n" + "\n".join(rows) if rows else ""


def _give_signature(cls: Class) -> None:
    if "__init__" in cls.members or not _has_base(cls, "Record", "Struct"):
        return
    fields = _fields(cls)
    parameters = Parameters(
        Parameter("self", kind=ParameterKind.positional_or_keyword),
        *(
            Parameter(
                name,
                annotation=each.annotation,
                kind=ParameterKind.keyword_only,
                default=each.value,
            )
            for name, each in fields.items()
        ),
    )
    made = Function("__init__", parameters=parameters, parent=cls)
    cls.set_member("__init__", made)


def _fields(cls: Class) -> dict[str, Attribute]:
    fields: dict[str, Attribute] = {}
    for base in reversed(cls.resolved_bases):
        if isinstance(base, Class):
            fields |= _fields(base)
    for name, member in cls.members.items():
        if (
            isinstance(member, Attribute)
            and member.annotation is not None
            and "ClassVar" not in str(member.annotation)
            and not name.startswith("_")
        ):
            fields[name] = member
    return fields

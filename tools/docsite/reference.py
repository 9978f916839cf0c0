"""
Which page of the reference a public name is on.

Every public name is on one page; a module that is on none stops the build.
"""

import ast
import importlib
import importlib.util
import inspect
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Area:
    """
    One page: names of `lashstore` by the modules they are made in, or all
    public names of another module.
    """

    slug: str
    title: str
    intro: str
    homes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()


AREAS = (
    Area(
        slug="store",
        title="Store",
        intro="One session's durable state: what every host uses.",
        names=("Store",),
    ),
    Area(
        slug="factory",
        title="Factory",
        intro="From a session's id to its store, and sessions copied from place to"
        " place.",
        homes=("factory", "session_copies"),
    ),
    Area(
        slug="transaction",
        title="Transaction",
        intro="Several operations on one session that land together.",
        names=("SessionTransaction",),
    ),
    Area(
        slug="commits",
        title="Commits",
        intro="What a turn commits and what a session is read as: graph, checkpoint,"
        " usage, head.",
        homes=(
            "model.commit",
            "model.graph",
            "model.blobs",
            "model.session",
            "model.usage",
        ),
    ),
    Area(
        slug="leases",
        title="Leases",
        intro="The exclusive right to run a session, and the proof of it.",
        homes=("model.leases",),
    ),
    Area(
        slug="queues",
        title="Queues",
        intro="Work that waits for a session: drafts, batches, claims.",
        homes=("model.queue",),
    ),
    Area(
        slug="inputs",
        title="Turn inputs",
        intro="What users say while a turn runs or between turns.",
        homes=("model.turn_inputs",),
    ),
    Area(
        slug="processes",
        title="Processes",
        intro="Work in the background that outlives any process of the operating"
        " system.",
        homes=(
            "processes",
            "model.processes",
            "model.process_events",
            "model.process_outputs",
            "model.process_leases",
            "model.process_grants",
            "model.wakes",
        ),
    ),
    Area(
        slug="triggers",
        title="Triggers",
        intro="Occurrences, and the processes they start.",
        homes=("triggers", "model.triggers"),
    ),
    Area(
        slug="effects",
        title="Effects",
        intro="Actions upon the world outside whose outcome is recorded.",
        homes=("effects", "model.effects"),
    ),
    Area(
        slug="attachments",
        title="Attachments",
        intro="Bytes beside the database, and the manifest that knows them.",
        homes=("attachments", "model.attachments"),
    ),
    Area(
        slug="aio",
        title="Async",
        intro="Twins of every store for event loops.",
        modules=("lashstore.aio",),
    ),
    Area(
        slug="runtime",
        title="Runtime",
        intro="What every host would otherwise write: leases kept, turns run, queues"
        " worked.",
        homes=("runtime",),
    ),
    Area(
        slug="tools",
        title="Tools",
        intro="Verify, repair, back up, restore, move, examine.",
        homes=(
            "tools.verifying",
            "tools.findings",
            "tools.repairing",
            "tools.backups",
            "tools.backup_format",
            "tools.archives",
            "tools.compacting",
            "tools.doctoring",
            "tools.diagnosis",
        ),
    ),
    Area(
        slug="migrations",
        title="Migrations",
        intro="Databases carried from one schema version to the next, on request"
        " only. The command is `lashstore db`.",
        modules=(
            "lashstore.migrations.targets",
            "lashstore.migrations.files",
            "lashstore.migrations.servers",
            "lashstore.migrations.reports",
        ),
    ),
    Area(
        slug="options",
        title="Options and clocks",
        intro="How stores are opened: options, clocks, ciphers.",
        homes=("model.options", "clock", "ciphers"),
    ),
    Area(
        slug="values",
        title="Values",
        intro="JSON, and what is picked out of it.",
        homes=("model.record", "model.selectors"),
    ),
    Area(
        slug="errors",
        title="Errors",
        intro="Every error, classed by what its caller can do.",
        homes=("errors",),
    ),
    Area(
        slug="testing",
        title="Testing",
        intro="Factories for the tests of whoever uses lashstore.",
        modules=("lashstore.testing",),
    ),
)


# Pages of the reference that are not generated here.
_WRITTEN = Path(__file__).resolve().parents[2] / "docs" / "reference"

# A driver that the site does without may be missing.
_NOT_IMPORTED = "lashstore.migrations."

# Nobody makes these: they are given. What makes them is not public.
_GIVEN = {
    "AsyncEffectController",
    "AsyncSessionTransaction",
    "AsyncTurn",
    "EffectController",
    "LeaseKeeper",
    "SessionTransaction",
    "Turn",
}


class UnplacedError(Exception):
    """
    Public names that are on no page, or on two.
    """

    def __init__(self, names: list[str]) -> None:
        super().__init__(
            f"add to tools/docsite/reference.py, or take out there: {', '.join(names)}"
        )


def pages() -> dict[str, str]:
    """
    Return the reference's pages, by their path in the site.

    Raises:
        UnplacedError: A public name is on no page, or on two.
    """
    homes = dict(importlib.import_module("lashstore")._HOMES)  # noqa: SLF001
    placed: list[str] = []
    result = {}
    for area in AREAS:
        names = [*area.names]
        for home in area.homes:
            names += homes[home]
        placed += names
        paths = [f"lashstore.{name}" for name in names]
        for module in area.modules:
            paths += [f"{module}.{name}" for name in _public(module)]
        result[f"reference/{area.slug}.md"] = _page(area, paths)
    every = [name for names in homes.values() for name in names]
    if wrong := sorted({name for name in every if placed.count(name) != 1}):
        raise UnplacedError(wrong)
    result["reference/index.md"] = _index()
    return result


def _public(module: str) -> list[str]:
    """
    Return a module's `__all__`, or else what it defines for others.
    """
    if not module.startswith(_NOT_IMPORTED):
        imported = importlib.import_module(module)
        return list(imported.__all__)
    found = importlib.util.find_spec(module)
    tree = ast.parse(Path(found.origin if found and found.origin else "").read_text())
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef | ast.FunctionDef)
        and not node.name.startswith("_")
    ]


def _page(area: Area, paths: list[str]) -> str:
    intro = area.intro
    if area.slug == "errors":
        tree = importlib.import_module("lashstore.errors").__doc__ or ""
        intro += f"\n\n```text\n{inspect.cleandoc(tree.partition('.')[2])}\n```"
    if area.slug == "transaction":
        repositories = _repositories()
        rows = "\n".join(
            f"| `{name}` | [`{path.rpartition('.')[2]}`][{path}] |"
            for name, path in repositories.items()
        )
        intro += f"\n\n| Attribute | What it is |\n| --- | --- |\n{rows}"
        paths = [*paths, *repositories.values()]
    blocks = "\n\n".join(_block(path) for path in paths)
    return f"# {area.title}\n\n{intro}\n\n{blocks}\n"


def _repositories() -> dict[str, str]:
    """
    Return a transaction's repositories: where each is, by its attribute.
    """
    found = importlib.import_module("lashstore.store.transaction")
    kinds = found.SessionTransaction.__annotations__
    return {name: f"{kind.__module__}.{kind.__name__}" for name, kind in kinds.items()}


def _block(path: str) -> str:
    """
    Ask for a name's documentation.

    A class that is put together from several has its members in their order;
    by line numbers, as is the custom, those of all files would be mixed.
    """
    module, _, name = path.rpartition(".")
    if module.startswith(_NOT_IMPORTED):
        return f"::: {path}"
    found = getattr(importlib.import_module(module), name)
    parts = [part for part in getattr(found, "__mro__", ()) if _is_ours(part)]
    options = {}
    is_opened = hasattr(found, "open") and hasattr(found, "memory")
    if is_opened or name in _GIVEN or ".repos." in path:
        options["merge_init_into_class"] = "false"
    members = dict.fromkeys(
        member
        for part in parts
        for member, value in vars(part).items()
        if not member.startswith("_") and _docstring(value)
    )
    if len(parts) > 2 and members:
        options["members"] = f"[{', '.join(members)}]"
    listed = "".join(f"\n      {name}: {value}" for name, value in options.items())
    return f"::: {path}" + (f"\n    options:{listed}" if listed else "")


def _is_ours(part: type) -> bool:
    return part.__module__.startswith("lashstore.")


def _docstring(value: object) -> str | None:
    inner = getattr(value, "__func__", value)
    is_callable = callable(inner) or isinstance(inner, property)
    return inner.__doc__ if is_callable else None


def _index() -> str:
    rows = "\n".join(f"| [{a.title}]({a.slug}.md) | {a.intro} |" for a in AREAS)
    if (_WRITTEN / "command-line.md").exists():
        rows += "\n| [Command line](command-line.md) | The commands of `lashstore`. |"
    return (
        "# Reference\n\nGenerated from the docstrings.\n"
        "All names are imported from `lashstore` itself, but those of `lashstore.aio`,"
        " `lashstore.testing` and `lashstore.migrations`.\n\n"
        f"| Page | What it has |\n| --- | --- |\n{rows}\n"
    )

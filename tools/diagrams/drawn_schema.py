"""
The schema as drawings, one a component: every table with its columns, keys
and references.
"""

import re
from pathlib import Path

import sqlalchemy as sa

from lashstore import tables

from . import svg

_WIDTH = 236
_GAP = 22
_HEAD = 26
_ROW = 16
_COLUMNS = 3
_TYPES = {"BIGINT": "integer", "TEXT": "text", "BLOB": "bytes"}

_TITLES = {
    tables.SESSION_COMPONENT: "The tables of a session",
    tables.PROCESS_COMPONENT: "The tables of processes",
    tables.TRIGGER_COMPONENT: "The tables of triggers",
    tables.EFFECT_COMPONENT: "The table of effects",
}


class _Placed:
    """
    A table and where it is drawn.
    """

    def __init__(self, table: sa.Table, column: int, y: float) -> None:
        self.table = table
        self.column = column
        self.x = 4 + column * (_WIDTH + _GAP)
        self.y = y

    @property
    def height(self) -> float:
        return _HEAD + _ROW * len(self.table.columns) + 8

    def row_y(self, name: str) -> float:
        return self.y + _HEAD + _ROW * (list(self.table.c.keys()).index(name) + 0.5)


def draw(component: str) -> str:
    """
    Return one component's drawing as SVG.
    """
    placed = _place(tables.COMPONENT_TABLES[component])
    parts = [line for each in placed.values() for line in _references(each, placed)]
    for each in placed.values():
        parts += _box(each)
    height = max(each.y + each.height for each in placed.values()) + 4
    count = 1 + max(each.column for each in placed.values())
    width = 8 + count * (_WIDTH + _GAP) - _GAP
    return svg.document(width, height, _TITLES[component], parts)


def _place(members: tuple[sa.Table, ...]) -> dict[str, _Placed]:
    """
    Put each table below the shortest column; where there are references,
    what they lead to stands left and everything else right, so that no line
    passes a table it is not about.
    """
    targets = {key.column.table for table in members for key in table.foreign_keys}
    ends = [4.0] * (2 if targets else min(_COLUMNS, len(members)))
    placed = {}
    for table in members:
        column = ends.index(min(ends))
        if targets:
            column = 0 if table in targets else 1
        placed[table.name] = each = _Placed(table, column, ends[column])
        ends[column] += each.height + _GAP
    return placed


def _references(each: _Placed, placed: dict[str, _Placed]) -> list[str]:
    lines = []
    for key in sorted(each.table.foreign_keys, key=lambda key: key.parent.name):
        target = placed[key.column.table.name]
        start = each.row_y(key.parent.name)
        end = target.row_y(key.column.name)
        if target.column == each.column:
            edge = each.x
            d = (
                f"M{edge:g} {start:g}h-3V{end:g}h3"
                if edge > 4
                else (f"M{edge + _WIDTH:g} {start:g}h8V{end:g}h-8")
            )
        else:
            to = target.x + _WIDTH
            turn = to + _GAP / 2
            d = f"M{each.x:g} {start:g}H{turn:g}V{end:g}H{to:g}"
        lines.append(svg.path(d, stroke=svg.ACCENT, width=1.3))
    return lines


def _box(each: _Placed) -> list[str]:
    x, y = each.x, each.y
    parts = [
        svg.rect(x, y, _WIDTH, each.height),
        svg.text(x + 10, y + 17, each.table.name, size=12, font="mono", is_bold=True),
        svg.path(f"M{x:g} {y + _HEAD - 3:g}h{_WIDTH:g}"),
    ]
    for column in each.table.columns:
        line = each.row_y(column.name) + 5
        if column.primary_key:
            parts.append(svg.text(x + 8, line, "◆", size=9, fill=svg.ACCENT))
        parts.append(svg.text(x + 22, line, column.name, size=11, font="mono"))
        parts.append(
            svg.text(
                x + _WIDTH - 8,
                line,
                _type(column),
                size=10,
                anchor="end",
                fill=svg.FAINT,
            )
        )
    return parts


def _type(column: sa.Column[object]) -> str:
    name = _TYPES.get(str(column.type), str(column.type).lower())
    return f"{name}?" if column.nullable else name


def drawings() -> dict[str, str]:
    """
    Return every component's drawing, by its file's name.
    """
    return {f"schema-{c}.svg": draw(c) for c in tables.COMPONENT_TABLES}


def _says(source: str, table: sa.Table) -> str:
    """
    Return the comment above a table, as one text.
    """
    found = re.search(
        rf"((?:^# .*\n)+)^{table.name}(?:: [\w.]+)? = _table\(", source, re.MULTILINE
    )
    if not found:
        msg = f"{tables.__file__}: no comment above {table.name}"
        raise SystemExit(msg)
    return " ".join(line.removeprefix("# ") for line in found[1].splitlines())


def page() -> str:
    """
    Return the page that has all of them.
    """
    source = Path(tables.__file__).read_text()
    parts = [
        "# Schema\n",
        "One schema serves SQLite files and PostgreSQL; `lashstore/tables.py` is its"
        " source, and `make diagrams` draws it.",
        "◆ marks the primary key, `?` a column that may be NULL, a line a foreign key;"
        " all of those delete what refers to a deleted row.",
        "A session's tables have no foreign keys: what a column names, such as"
        " `checkpoint_ref` a blob and `parent_node_id` a node, is checked when it is"
        " written, and by `lashstore verify`.",
        "Times end in `_ms` (epoch milliseconds), sizes in `_bytes`, JSON in `_json`;"
        " `checksum` covers a row's key and content.",
        "Each component may have a database of its own or share one; beside its tables"
        " stands `schema_versions`, with a row per component.",
    ]
    for component, members in tables.COMPONENT_TABLES.items():
        title = _TITLES[component]
        parts.append(f"\n## {title}\n\n![{title}](schema-{component}.svg)\n")
        parts.append("| Table | A row is |\n| --- | --- |")
        parts += [f"| `{t.name}` | {_says(source, t)} |" for t in members]
    return "\n".join(parts) + "\n"

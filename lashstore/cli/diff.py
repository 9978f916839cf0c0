"""
`lashstore diff`: what changed between two revisions.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec

from lashstore.codec import to_json
from lashstore.model.value_changes import Change, ValueChange
from lashstore.tools.revisions import (
    PartChange,
    PartState,
    RevisionDiff,
    diff_revisions,
)

from .reading import (
    json_option,
    one_line,
    open_one,
    print_json,
    session_option,
    target_argument,
)
from .words import role_of, shortened, words_of

_WORDS = 80
_VALUE_CHARS = 48
_SIGNS = {Change.ADDED: "+", Change.REMOVED: "-", Change.CHANGED: "~"}


@click.command()
@target_argument("target")
@click.argument("one", metavar="REV")
@click.argument("other", metavar="REV", default="head")
@session_option
@click.option(
    "--limit",
    type=click.IntRange(min=1, max=100_000),
    default=50,
    show_default=True,
    metavar="N",
    help="Show at most so many nodes, and changes of each part; JSON has all.",
)
@json_option
def diff(
    target: Path | str,
    one: str,
    other: str,
    session_id: str | None,
    limit: int,
    *,
    is_json: bool,
) -> None:
    r"""
    Show what changed between two revisions of a session of TARGET, the earlier
    to the later: nodes added, the checkpoint member by member, tokens.

    TARGET is its file; or a folder of sessions or the address of a PostgreSQL
    database, and then --session says which. A REV is a number, 0 for nothing
    at all, head, or head~2 for the second before it; the second REV may be
    left out and is the head then. Sessions let go of old checkpoints: where a
    part of one is not stored any more, that is said. Of metadata, config and
    agent frames only the present ones are stored, and of a commit without a
    stamp little at all. Exit code 0: done; 1: there is no such revision, or
    the session cannot be read; 2: the command was used wrongly.

    \b
    Examples:
      lashstore diff sessions/ 3 5 --session chat
      lashstore diff chat.db head~1
      lashstore diff chat.db 0 head --json
    """
    with open_one(target, session_id) as reader:
        found = diff_revisions(reader, one, other)
    if is_json:
        print_json(found)
        return
    for line in _lines(found, limit):
        click.echo(line)


def _lines(found: RevisionDiff, limit: int) -> Iterator[str]:
    commits = found.to_revision - found.from_revision
    yield (
        f"session {one_line(found.session_id)}, revision {found.from_revision} to "
        f"{found.to_revision}: {commits} commit{'s' * (commits != 1)}"
    )
    if found.unstamped_count:
        yield (
            f"  {found.unstamped_count} of them without a stamp: what they did is "
            "not told, or only in part"
        )
    yield from _node_lines(found, limit)
    for part in found.parts:
        yield from _part_lines(part, limit)
    for entry in found.usage:
        usage = entry.usage
        yield (
            f"tokens of {one_line(entry.source)}, {one_line(entry.model)}: "
            f"{usage.input_tokens:,} input, {usage.cache_read_input_tokens:,} from "
            f"cache, {usage.output_tokens:,} output"
        )


def _node_lines(found: RevisionDiff, limit: int) -> Iterator[str]:
    gone = max(0, found.added_node_count - len(found.nodes))
    later = f", {gone} of them replaced or removed since" if gone else ""
    yield f"nodes: {max(found.added_node_count, len(found.nodes))} added{later}"
    for node in found.nodes[:limit]:
        yield (
            f"  + {one_line(node.node_id)}  {role_of(node):<9}  "
            f"{words_of(node, _WORDS)}"
        )
    yield from _rest(len(found.nodes) - limit)


def _part_lines(part: PartChange, limit: int) -> Iterator[str]:
    revisions = " and ".join(map(str, part.gone_revisions))
    if part.state is PartState.SAME:
        yield f"{part.part}: the same"
    elif part.state is PartState.NOT_KEPT:
        yield (
            f"{part.part}: changed; what it was at revision {revisions} is not kept "
            "any more"
        )
    elif part.state is PartState.UNKNOWN:
        yield f"{part.part}: not known of revision {revisions}, which has no stamp"
    else:
        yield f"{part.part}: {len(part.changes)} changed"
        for change in part.changes[:limit]:
            yield f"  {_SIGNS[change.change]} {_change_words(change)}"
        yield from _rest(len(part.changes) - limit)


def _change_words(change: ValueChange) -> str:
    values = [
        _value(value)
        for value in (change.before, change.after)
        if value is not msgspec.UNSET
    ]
    return f"{one_line(change.path) or '/'}: {' -> '.join(values)}"


def _value(value: Any) -> str:
    return shortened(to_json(value), _VALUE_CHARS)


def _rest(count: int) -> Iterator[str]:
    if count > 0:
        yield f"  … {count} more (--limit)"

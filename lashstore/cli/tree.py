"""
`lashstore tree`: a session's graph.
"""

import os
import sys
from pathlib import Path

import click

from lashstore.errors import CorruptRecordError
from lashstore.model.graph import SessionGraph
from lashstore.model.record import Record
from lashstore.store.transaction import SessionTransaction

from .graph_picture import MOST_ROWS, PictureTitle, draw_html, draw_svg
from .operator import PATH
from .reading import (
    json_option,
    open_one,
    print_json,
    session_option,
    shown_bytes,
    target_argument,
)
from .tree_drawing import draw_tree

# Wider than any line of a tree, so that none is cut.
_PIPE_COLUMNS = 1_000


class GraphReport(Record, frozen=True, kw_only=True):
    """
    A session's graph as data: every live node in the order it was added, and
    the ids of the active path from the root to the leaf.
    """

    session_id: str
    head_revision: int
    leaf_node_id: str | None
    active_node_ids: tuple[str, ...]
    nodes: tuple[object, ...]


@click.command()
@target_argument("target")
@session_option
@click.option(
    "--svg", type=PATH, metavar="FILE", help="Draw it as a picture (FILE.svg)."
)
@click.option(
    "--html",
    type=PATH,
    metavar="FILE",
    help="Draw it as a page with the nodes' texts (FILE.html).",
)
@click.option(
    "--all",
    "is_whole",
    is_flag=True,
    help=f"Draw every node, also of more than {MOST_ROWS}.",
)
@json_option
def tree(
    target: Path | str,
    session_id: str | None,
    svg: Path | None,
    html: Path | None,
    *,
    is_whole: bool,
    is_json: bool,
) -> None:
    r"""
    Draw the graph of a session of TARGET: in the terminal, or as a picture.

    TARGET is its file; or a folder of sessions or the address of a PostgreSQL
    database, and then --session says which. Long chains are trimmed in their
    middle. A picture is one file that needs nothing else; it has content of
    the session in it, so only its owner may read it, and one of the same name
    is overwritten. The session is only read, and hosts may go on writing. Exit
    code 0: done; 1: the session cannot be read, or the picture not written; 2:
    the command was used wrongly.

    \b
    Examples:
      lashstore tree sessions/ --session chat
      lashstore tree chat.db --svg chat.svg
      lashstore tree chat.db --html chat.html --all
      lashstore tree chat.db --json
    """
    for path, suffix in ((svg, ".svg"), (html, ".html")):
        if path is not None and path.suffix.lower() != suffix:
            msg = f"--{suffix[1:]} makes a {suffix} file: {path} has another ending"
            raise click.UsageError(msg)
    with open_one(target, session_id) as reader:
        revision, graph = reader.look(_load)
        title = PictureTitle(session_id=reader.session_id, head_revision=revision)
    most_rows = None if is_whole else MOST_ROWS
    for path, draw in ((svg, draw_svg), (html, draw_html)):
        if path is not None:
            size = _write(path, draw(graph, title, most_rows=most_rows))
            click.echo(f"wrote {path} ({shown_bytes(size)})", err=is_json)
    if is_json:
        print_json(
            GraphReport(
                session_id=title.session_id,
                head_revision=revision,
                leaf_node_id=graph.leaf_node_id,
                active_node_ids=tuple(n.node_id for n in graph.active_path()),
                nodes=graph.nodes,
            )
        )
    elif svg is None and html is None:
        _print(graph, title, is_whole=is_whole)


def _load(tx: SessionTransaction) -> tuple[int, SessionGraph]:
    head = tx.heads.find(tx.session_id)
    if head is None:
        return 0, SessionGraph()
    nodes = tx.graph.list_live(tx.session_id)
    if len(nodes) != head.live_node_count:
        raise CorruptRecordError(
            record_kind="session graph",
            key=tx.session_id,
            reason=f"{len(nodes)} of {head.live_node_count} nodes are there",
        )
    return head.head_revision, SessionGraph(nodes=nodes, leaf_node_id=head.leaf_node_id)


def _write(path: Path, text: str) -> int:
    content = text.encode()
    # As a session's own file: nobody else's to read.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    return len(content)


def _print(graph: SessionGraph, title: PictureTitle, *, is_whole: bool) -> None:
    from rich.console import Console

    heading = f"session {title.session_id}, revision {title.head_revision}"
    drawn = draw_tree(graph, heading, is_whole=is_whole)
    if sys.stdout.isatty():
        Console(highlight=False).print(drawn)
        return
    console = Console(highlight=False, width=_PIPE_COLUMNS, color_system=None)
    with console.capture() as captured:
        console.print(drawn)
    for line in captured.get().splitlines():
        click.echo(line.rstrip())

"""
A session's graph as a tree in the terminal.
"""

from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from lashstore.model.graph import SessionGraph, SessionNode

from .reading import one_line
from .words import role_of, words_of

# A conversation without branches is one long chain; its ends tell the most.
_SHOWN_AT_ENDS = 6
_LABEL_CHARS = 72
_STYLES = {
    "system": "magenta",
    "user": "green",
    "assistant": "cyan",
    "tool": "yellow",
}


def draw_tree(graph: SessionGraph, title: str, *, is_whole: bool = False) -> Tree:
    """
    Draw a graph: chains flat and trimmed in the middle, branches indented.

    Args:
        is_whole: Trim nothing.
    """
    tree = Tree(Text(one_line(title), style="bold"))
    children: dict[str | None, list[SessionNode]] = {}
    known = {node.node_id for node in graph.nodes}
    for node in graph.nodes:
        parent = node.parent_node_id if node.parent_node_id in known else None
        children.setdefault(parent, []).append(node)
    # By hand instead of recursion: there may be a branch at every node.
    pending = [(tree, root) for root in reversed(children.get(None, []))]
    while pending:
        branch, start = pending.pop()
        chain = [start]
        while len(following := children.get(chain[-1].node_id, [])) == 1:
            chain.append(following[0])
        _add_chain(branch, chain, graph.leaf_node_id, is_whole=is_whole)
        if following:
            fork = branch.add(Text(f"{len(following)} branches", style="dim"))
            pending += [(fork, node) for node in reversed(following)]
    return tree


def _add_chain(
    branch: Tree, chain: Sequence[SessionNode], leaf: str | None, *, is_whole: bool
) -> None:
    hidden = 0 if is_whole else len(chain) - 2 * _SHOWN_AT_ENDS
    for index, node in enumerate(chain):
        if hidden > 1 and index == _SHOWN_AT_ENDS:
            branch.add(Text(f"… {hidden} more nodes …", style="dim"))
        if hidden <= 1 or not _SHOWN_AT_ENDS <= index < _SHOWN_AT_ENDS + hidden:
            branch.add(_label(node, is_leaf=node.node_id == leaf))


def _label(node: SessionNode, *, is_leaf: bool) -> Text:
    role = role_of(node)
    label = Text(no_wrap=True, overflow="ellipsis")
    label.append(f"{one_line(node.node_id)} ", style="dim")
    label.append(f"{role:<9} ", style=_STYLES.get(role, ""))
    label.append(words_of(node, _LABEL_CHARS))
    if is_leaf:
        label.append("  ← leaf", style="bold")
    return label

"""
A session's graph as a tree in the terminal.
"""

from collections.abc import Sequence

from rich.text import Text
from rich.tree import Tree

from lashstore.hosting.messages import content_text
from lashstore.hosting.parcels import attachment_id_of
from lashstore.model.graph import SessionGraph, SessionNode

# A conversation without branches is one long chain; its ends tell the most.
_SHOWN_AT_ENDS = 6
_LABEL_CHARS = 72
_STYLES = {
    "system": "magenta",
    "user": "green",
    "assistant": "cyan",
    "tool": "yellow",
}


def draw_tree(graph: SessionGraph, title: str) -> Tree:
    """
    Draw a graph: chains flat and trimmed in the middle, branches indented.
    """
    tree = Tree(Text(title, style="bold"))
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
        _add_chain(branch, chain, graph.leaf_node_id)
        if following:
            fork = branch.add(Text(f"{len(following)} branches", style="dim"))
            pending += [(fork, node) for node in reversed(following)]
    return tree


def _add_chain(branch: Tree, chain: Sequence[SessionNode], leaf: str | None) -> None:
    hidden = len(chain) - 2 * _SHOWN_AT_ENDS
    for index, node in enumerate(chain):
        if hidden > 1 and index == _SHOWN_AT_ENDS:
            branch.add(Text(f"… {hidden} more nodes …", style="dim"))
        if hidden <= 1 or not _SHOWN_AT_ENDS <= index < _SHOWN_AT_ENDS + hidden:
            branch.add(_label(node, is_leaf=node.node_id == leaf))


def _label(node: SessionNode, *, is_leaf: bool) -> Text:
    role = str(node.payload.get("role", node.kind))
    label = Text(no_wrap=True, overflow="ellipsis")
    label.append(f"{node.node_id} ", style="dim")
    label.append(f"{role:<9} ", style=_STYLES.get(role, ""))
    label.append(_first_words(node))
    if is_leaf:
        label.append("  ← leaf", style="bold")
    return label


def _first_words(node: SessionNode) -> str:
    attachment_id = attachment_id_of(node.payload)
    if attachment_id is not None:
        byte_len = node.payload["content"][0]["byte_len"]
        return f"[attachment {attachment_id[:12]}…, {byte_len:,} bytes]"
    words = " ".join(content_text(node.payload).split())
    return words if len(words) <= _LABEL_CHARS else words[: _LABEL_CHARS - 1] + "…"

"""
Where the nodes of a graph stand in a picture: a row each, a lane a branch.
"""

from collections.abc import Iterator, Sequence

from lashstore.model.graph import SessionGraph, SessionNode
from lashstore.model.record import Record

# Of a long chain the ends tell the most: as many are kept as fit.
_MOST_KEPT_AT_ENDS = 1_000
# From which lane on branches are folded, as far as it takes.
_FOLDED_LANES = (4, 3, 2, 1)


class Place(Record, frozen=True, kw_only=True):
    """
    A row: a node; or what was left out, of which `hidden_count` says how many
    nodes it is: the middle of a chain, whose last is `node`, or with
    `is_folded` a whole branch, whose first it is.

    `lane` counts from the left; `parent_row` is the row it hangs on, None for
    a root.
    """

    row: int
    lane: int
    parent_row: int | None
    node: SessionNode
    hidden_count: int = 0
    is_folded: bool = False
    is_active: bool = False
    is_leaf: bool = False


class Layout(Record, frozen=True, kw_only=True):
    """
    The rows from the top, and how many lanes there are.
    """

    places: tuple[Place, ...]
    lane_count: int


class _Chain(Record, frozen=True, kw_only=True):
    start: SessionNode
    lane: int
    parent_row: int | None


def lay_out(graph: SessionGraph, *, most_rows: int | None = None) -> Layout:
    """
    Give every node its place. A node stands below its parent; the active path
    keeps its lane, and what branches off a node stands between it and the
    path's next one.

    Args:
        most_rows: Leave out the middles of long chains until so many rows are
            enough; and if they are not, branches of branches and then
            branches, each of which is a row then. None: leave out none.
    """
    forest = _Forest(graph)
    if most_rows is None or len(graph.nodes) <= most_rows:
        return forest.places()
    folded_lane = _next_lane_that_fits(forest, most_rows)
    low, high = 1, _MOST_KEPT_AT_ENDS
    while low < high:
        middle = (low + high + 1) // 2
        found = forest.places(kept_at_ends=middle, folded_lane=folded_lane)
        if len(found.places) <= most_rows:
            low = middle
        else:
            high = middle - 1
    return forest.places(kept_at_ends=low, folded_lane=folded_lane)


def _next_lane_that_fits(forest: "_Forest", most_rows: int) -> int | None:
    for lane in (None, *_FOLDED_LANES):
        found = forest.places(kept_at_ends=1, folded_lane=lane)
        if len(found.places) <= most_rows:
            return lane
    return _FOLDED_LANES[-1]


class _Forest:
    def __init__(self, graph: SessionGraph) -> None:
        known = {node.node_id for node in graph.nodes}
        self._children: dict[str | None, list[SessionNode]] = {}
        for node in graph.nodes:
            parent = node.parent_node_id if node.parent_node_id in known else None
            self._children.setdefault(parent, []).append(node)
        self._active = {node.node_id for node in graph.active_path()}
        self._leaf = graph.leaf_node_id
        self._heights: dict[str, int] = {}
        self._sizes: dict[str, int] = {}
        self._measure()

    def _measure(self) -> None:
        # Parents before children, so that the last is measured first; within
        # a commit nodes may have been given in any order.
        ordered = list(self._children.get(None, []))
        for node in ordered:
            ordered += self._below(node)
        for node in reversed(ordered):
            below = [each.node_id for each in self._below(node)]
            height = 1 + max((self._heights[each] for each in below), default=0)
            self._heights[node.node_id] = height
            self._sizes[node.node_id] = 1 + sum(self._sizes[each] for each in below)

    def _below(self, node: SessionNode) -> list[SessionNode]:
        return self._children.get(node.node_id, [])

    def _ordered(self, nodes: Sequence[SessionNode]) -> list[SessionNode]:
        # What goes on is last: the active path, or else the longest branch.
        return sorted(
            nodes,
            key=lambda node: (
                node.node_id in self._active,
                self._heights[node.node_id],
            ),
        )

    def places(
        self, *, kept_at_ends: int | None = None, folded_lane: int | None = None
    ) -> Layout:
        places: list[Place] = []
        roots = self._ordered(self._children.get(None, []))
        # By hand instead of recursion: there may be a branch at every node.
        pending = [
            _Chain(start=root, lane=0, parent_row=None) for root in reversed(roots)
        ]
        while pending:
            branch = pending.pop()
            size = self._sizes[branch.start.node_id]
            if folded_lane is not None and branch.lane >= folded_lane and size > 1:
                places.append(
                    Place(
                        row=len(places),
                        lane=branch.lane,
                        parent_row=branch.parent_row,
                        node=branch.start,
                        hidden_count=size,
                        is_folded=True,
                    )
                )
                continue
            chain = self._straight(branch.start)
            parent_row = branch.parent_row
            for node, hidden in _trimmed(chain, kept_at_ends):
                places.append(
                    Place(
                        row=len(places),
                        lane=branch.lane,
                        parent_row=parent_row,
                        node=node,
                        hidden_count=hidden,
                        is_active=node.node_id in self._active,
                        is_leaf=node.node_id == self._leaf,
                    )
                )
                parent_row = len(places) - 1
            # The last of them goes on in this lane, below the others.
            below = self._ordered(self._below(chain[-1]))
            pending += [
                _Chain(
                    start=node,
                    lane=branch.lane + (node is not below[-1]),
                    parent_row=parent_row,
                )
                for node in reversed(below)
            ]
        lanes = max((place.lane for place in places), default=0) + 1
        return Layout(places=tuple(places), lane_count=lanes)

    def _straight(self, node: SessionNode) -> list[SessionNode]:
        chain = [node]
        while len(below := self._below(chain[-1])) == 1 and not self._is_end(chain[-1]):
            chain += below
        return chain

    def _is_end(self, node: SessionNode) -> bool:
        # The path may end where a branch goes on.
        return node.node_id == self._leaf


def _trimmed(
    chain: Sequence[SessionNode], kept_at_ends: int | None
) -> Iterator[tuple[SessionNode, int]]:
    hidden = 0 if kept_at_ends is None else len(chain) - 2 * kept_at_ends
    if kept_at_ends is None or hidden <= 1:
        yield from ((node, 0) for node in chain)
        return
    yield from ((node, 0) for node in chain[:kept_at_ends])
    yield chain[-kept_at_ends - 1], hidden
    yield from ((node, 0) for node in chain[-kept_at_ends:])

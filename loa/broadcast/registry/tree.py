"""The shape of the administrative tree: who stands above and below whom. Pure."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

from loa.codecs.statement_wire import MAX_DEPTH_OF_AREAS
from loa.errors import Conflict

Node = TypeVar("Node", bound=Hashable)


class Tree(Generic[Node]):
    """Nodes by the parents they have; None for a top. What has no entry of its own is not in the tree."""

    def __init__(self, parents: Mapping[Node, Node | None]) -> None:
        self._parents = parents
        self._children: dict[Node | None, list[Node]] = {}
        for node, parent in parents.items():
            self._children.setdefault(parent, []).append(node)

    def children(self, node: Node | None) -> list[Node]:
        """Those directly below; the tops for None."""
        return self._children.get(node, [])

    def above(self, node: Node) -> list[Node]:
        """The node, its parent, and so on to the top. In a loop each comes once."""
        return self.chain(node, self._parents)

    @staticmethod
    def chain(node: Node, parents: Mapping[Node, Node | None]) -> list[Node]:
        """The node, its parent, and so on, as far as `parents` tells."""
        found: dict[Node, None] = {}
        at: Node | None = node
        while at is not None and at not in found:
            found[at] = None
            at = parents.get(at)
        return list(found)

    def below(self, *roots: Node) -> set[Node]:
        """These nodes and all below them."""
        found: set[Node] = set()
        asking = list(roots)
        while asking:
            node = asking.pop()
            if node not in found:
                found.add(node)
                asking += self.children(node)
        return found

    def check(self) -> None:
        """Conflict for a loop, and for a tree that is deeper than MAX_DEPTH_OF_AREAS."""
        seen: set[Node] = set()
        level, depth = self.children(None), 0
        while level:
            depth += 1
            if depth > MAX_DEPTH_OF_AREAS:
                raise Conflict(f"the tree of areas is at most {MAX_DEPTH_OF_AREAS} levels deep")
            seen.update(level)
            level = [child for node in level for child in self.children(node)]
        if len(seen) < len(self._parents):
            raise Conflict("an area cannot stand below itself")

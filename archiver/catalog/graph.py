"""Which nodes lead to which: for tables and what they are found by, or what their foreign keys name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node")


def reached(start: Node, edges: Mapping[Node, Iterable[Node]]) -> set[Node]:
    """Every node that a chain of edges leads to; the start itself where it stands on a cycle."""
    found: set[Node] = set()
    ahead = {start}
    while ahead:
        ahead = {target for node in ahead for target in edges.get(node, ())} - found
        found |= ahead
    return found


def cycles(edges: Mapping[Node, Iterable[Node]]) -> list[tuple[Node, ...]]:
    """Nodes that lead to each other, each group once, in the order given."""
    beyond = {node: reached(node, edges) for node in edges}
    groups = [tuple(other for other in edges if other in beyond[node] and node in beyond[other]) for node in edges]
    return [group for group in dict.fromkeys(groups) if group]

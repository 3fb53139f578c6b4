"""Reachability and cycles in a directed graph, such as tables and their links or foreign keys. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

Node = TypeVar("Node")


def reachable(start: Node, edges: Mapping[Node, Iterable[Node]]) -> set[Node]:
    """Return every node that a chain of edges leads to; the start itself only if it is on a cycle."""
    nodes: set[Node] = set()
    ahead = {start}
    while ahead:
        ahead = {target for node in ahead for target in edges.get(node, ())} - nodes
        nodes |= ahead
    return nodes


def cycles(edges: Mapping[Node, Iterable[Node]]) -> list[tuple[Node, ...]]:
    """Return the groups of nodes that reach each other: each group once, in the order given."""
    beyond = {node: reachable(node, edges) for node in edges}
    groups = [tuple(other for other in edges if other in beyond[node] and node in beyond[other]) for node in edges]
    return [group for group in dict.fromkeys(groups) if group]

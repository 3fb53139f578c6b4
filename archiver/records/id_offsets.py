"""Ids of one shard as another gives them: regions of numbers, and what is added to those of each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archiver.postgres.session import SQL, Composable, Literal


@dataclass(frozen=True, order=True)
class Region:
    """The numbers above one and up to another, and what is added to each on its way to the other shard."""

    above: int
    upto: int
    plus: int

    @property
    def reverse(self) -> Region:
        """The same numbers on their way back."""
        return Region(self.above + self.plus, self.upto + self.plus, -self.plus)


Offsets = tuple[Region, ...]  # of one way between two shards: apart from each other, and so are their images


def reversed_offsets(offsets: Offsets) -> Offsets:
    """The way back."""
    return tuple(region.reverse for region in offsets)


def gaps(offsets: Iterable[Region], upto: int) -> list[tuple[int, int]]:
    """What of the numbers from 1 up to another lies in no region: above, up to."""
    found, above = [], 0
    for region in sorted(offsets):
        if above < min(region.above, upto):
            found.append((above, min(region.above, upto)))
        above = max(above, region.upto)
    return [*found, (above, upto)] if above < upto else found


def translated(value: Composable, offsets: Offsets, condition: Composable | None) -> Composable:
    """A number as the other shard has it, where a condition holds; a number of no region stays what it is."""
    cases = [
        SQL("WHEN {} THEN {} + {}").format(_both(_within(value, region), condition), value, Literal(region.plus))
        for region in offsets
        if region.plus
    ]
    return SQL("CASE {} ELSE {} END").format(SQL(" ").join(cases), value) if cases else value


def outside_all(value: Composable, offsets: Sequence[Region]) -> Composable:
    """That a number, an id as sequences give them, lies in no region."""
    known = SQL(" OR ").join([SQL("{} <= 0").format(value), *(_within(value, region) for region in offsets)])
    return SQL("NOT ({})").format(known)


def _within(value: Composable, region: Region) -> Composable:
    return SQL("({0} > {1} AND {0} <= {2})").format(value, Literal(region.above), Literal(region.upto))


def _both(one: Composable, other: Composable | None) -> Composable:
    return one if other is None else SQL("{} AND {}").format(other, one)

"""Offsets that translate the ids of one shard into those of another, by regions of numbers. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from archiver.postgres.session import SQL, Composable, Literal


@dataclass(frozen=True, order=True)
class Region:
    """The numbers above `above` up to and with `upto`; `plus` is added to each in the other shard."""

    above: int
    upto: int
    plus: int

    @property
    def reverse(self) -> Region:
        """The region of the translated numbers, which translates them back."""
        return Region(self.above + self.plus, self.upto + self.plus, -self.plus)


Offsets = tuple[Region, ...]  # from one shard to another: regions do not overlap, neither do their translations


def reversed_offsets(offsets: Offsets) -> Offsets:
    """Return the offsets that translate back."""
    return tuple(region.reverse for region in offsets)


def gaps(offsets: Iterable[Region], upto: int) -> list[tuple[int, int]]:
    """Return the ranges of the numbers from 1 to `upto` outside all regions, as (above, upto)."""
    ranges, above = [], 0
    for region in sorted(offsets):
        if above < min(region.above, upto):
            ranges.append((above, min(region.above, upto)))
        above = max(above, region.upto)
    return [*ranges, (above, upto)] if above < upto else ranges


def translated(value: Composable, offsets: Offsets, condition: Composable | None) -> Composable:
    """SQL: the number in the other shard, if the condition is true; numbers outside all regions stay the same."""
    cases = [
        SQL("WHEN {} THEN {} + {}").format(_both(_within(value, region), condition), value, Literal(region.plus))
        for region in offsets
        if region.plus
    ]
    return SQL("CASE {} ELSE {} END").format(SQL(" ").join(cases), value) if cases else value


def outside_all(value: Composable, offsets: Sequence[Region]) -> Composable:
    """SQL: a positive number is outside all regions."""
    inside = SQL(" OR ").join([SQL("{} <= 0").format(value), *(_within(value, region) for region in offsets)])
    return SQL("NOT ({})").format(inside)


def _within(value: Composable, region: Region) -> Composable:
    return SQL("({0} > {1} AND {0} <= {2})").format(value, Literal(region.above), Literal(region.upto))


def _both(condition: Composable, other: Composable | None) -> Composable:
    return condition if other is None else SQL("{} AND {}").format(other, condition)

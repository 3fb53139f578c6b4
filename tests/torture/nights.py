"""Nights whose conductor is killed at one moment after the other, judged when they have ended."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.conductor import WHEN
from tests.nights import all_moments, started

KILLS = 8  # a night


@dataclass(frozen=True, kw_only=True)
class Killed:
    """One kill, and what was wrong with its night in the end."""

    moment: str
    faults: Sequence[str]
    seconds: float  # its share of the night


def moments_in_any_order(seed: int) -> list[str]:
    """Return all moments of a night, also of a resumed one; shuffled, so that an early end saw a fair sample."""
    every = [*all_moments(), *(f"{when} resumed" for when in WHEN)]
    return random.Random(seed).sample(every, len(every))


def killed(moments: Sequence[str]) -> Iterator[Killed]:
    """A night in a lab of its own, killed at these moments; those that did not come about are left out.

    After a kill a step may be found done, and then no question about it is asked any more.
    """
    began = time.monotonic()
    with started() as night:
        code, out, err = night.conduct_killed(moments)
        ending = [] if (code, err) == (0, "") else [f"it ended with {code}: {err or out[-1000:]}"]
        came, faults = [moment for moment in moments if moment not in night.spared], [*ending, *night.faults()]
    assert came, f"none of these came about: {', '.join(moments)}"
    seconds = (time.monotonic() - began) / len(came)
    yield from (Killed(moment=moment, faults=faults, seconds=seconds) for moment in came)

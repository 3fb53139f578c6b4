"""Steps that a night leaves to a later day, by a name: as the inventory says, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from inventory.parse import unknown_key
from runbooks.engine.model.step import Step
from runbooks.steps import maintenance
from runbooks.steps.context import NightContext


def with_deferrals(steps: Iterable[Step], night: NightContext) -> tuple[Step, ...]:
    """Return the steps; those that the night defers have their day."""
    return tuple(replace(step, deferral=night.night.defer.get(step.key)) for step in steps)


def deferral_mistakes(night: NightContext, built: Sequence[Step], keys: Collection[str]) -> Iterator[str]:
    """Yield every mistake in the deferrals of all nights, each with its path; `keys` are those of all steps."""
    fixed = {*_done_in_the_night(night, built)}
    for day, entry in night.environment.nights.items():
        for key, deferral in entry.defer.items():
            path = f"nights/{day}/defer/{key}"
            if key not in keys:
                yield f"{path}: {unknown_key(key, keys)}"
            if key in fixed:
                yield f"{path}: expected a step after the point of no return that may be left out, got {key!r}"
            if deferral.until <= day:
                yield f"{path}/until: expected a day after the night, got {deferral.until}"
            if not deferral.by.strip():
                yield f"{path}/by: expected the name of the person who decided it, got an empty one"


def _done_in_the_night(night: NightContext, built: Sequence[Step]) -> Iterator[str]:
    """Yield the keys of steps that no night may defer: all until the rows are gone, the required ones, and the last."""
    until = next(number for number, step in enumerate(built) if step.point_of_no_return)
    early, point = {step.key for step in built[: until + 1]}, built[until].key
    yield from early
    yield from (step.key for step in built if step.required)
    yield maintenance.off.key
    for own in night.environment.own_steps.values():
        if own.required or own.before in early or (own.after in early and own.after != point):
            yield own.key

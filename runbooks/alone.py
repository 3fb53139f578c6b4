"""Each step of a checklist as a task of its own, in one collection an area: `inv backups.dump`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from invoke.collection import Collection
from invoke.context import Context

from runbooks.engine.step import Step
from runbooks.front import ENV, task
from runbooks.tonight import Tonight

Build = Callable[[Tonight], Step]
Perform = Callable[[str, str, str, str, bool], None]  # key, date, checklist, environment, whether production was said
HELP = {
    "date": "the night, YYYY-MM-DD",
    "checklist": "which one the night goes by; its own if left out, or else the first that has the step",
    "env": ENV,
    "yes-production": "say it where the environment is production",
}


def collections(steps: Iterable[Build], perform: Perform) -> tuple[Collection, ...]:
    """A collection for each area, with a task for each of its steps."""
    areas: dict[str, Collection] = {}
    for build in steps:
        area, name = key_of(build).split(".")
        areas.setdefault(area, Collection(area)).add_task(_task(build, perform), name=name)
    return tuple(areas.values())


def key_of(build: Build) -> str:
    """The key of the step that a function builds: `backups.dump` for `runbooks.steps.backups.dump`."""
    return f"{build.__module__.rsplit('.', 1)[-1]}.{build.__name__.replace('_', '-')}"


def _task(build: Build, perform: Perform) -> Any:
    def alone(
        context: Context, date: str = "", checklist: str = "", env: str = "", yes_production: bool = False
    ) -> None:
        perform(key_of(build), date, checklist, env, yes_production)

    alone.__doc__ = f"{(build.__doc__ or '').strip()} Looks first; in the journal of that night."
    alone.__name__ = build.__name__
    return task(help=HELP)(alone)

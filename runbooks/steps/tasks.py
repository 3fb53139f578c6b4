"""Each step of a checklist as a task of its own, in one collection an area: `inv backups.dump`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date as Date  # noqa: N812 - tasks have an option called date
from typing import Any

from invoke.collection import Collection

from inventory.model import Environment
from runbooks.cli.options import ACTS, NIGHT, Option
from runbooks.cli.task import task
from runbooks.steps.context import Build

Perform = Callable[[str, Environment, Date, str | None], None]  # a step's key, and the options
CHECKLIST = Option(
    name="checklist",
    help="the checklist that the night goes by",
    unset="the night's own, or else the first that has the step",
)


def collections(steps: Iterable[Build], perform: Perform) -> tuple[Collection, ...]:
    """Return a collection for each area, with a task for each of its steps."""
    areas: dict[str, Collection] = {}
    for build in steps:
        area, name = build.key.split(".")
        areas.setdefault(area, Collection(area)).add_task(_task(build, perform), name=name)
    return tuple(areas.values())


def _task(build: Build, perform: Perform) -> Any:
    def alone(environment: Environment, date: Date, checklist: str) -> None:
        perform(build.key, environment, date, checklist or None)

    alone.__doc__ = f"{build.summary}\n\nSkips if already done; journaled with its night."
    alone.__module__ = perform.__module__  # which has the collections
    alone.__name__ = build.key.split(".")[-1].replace("-", "_")
    return task(build.key, NIGHT, CHECKLIST, *ACTS, example="--date=2014-08-15")(alone)

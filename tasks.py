"""The front door: every collection in one namespace; of a task that is run, only what declares it is imported."""

from __future__ import annotations

from collections.abc import Iterator

from invoke.collection import Collection

from runbooks.cli import task_groups
from runbooks.cli.listing import listed
from runbooks.cli.own_task import OwnTask


def declared() -> Iterator[Collection | OwnTask]:
    """Import and yield all collections, the cutover's with one for each area of its steps, and the task without one."""
    from runbooks import (
        activity,
        archive,
        check,
        cutover,
        databases,
        doctor,
        inventory,
        rehearsal,
        restore,
        shards,
        users,
    )

    yield from (cutover.namespace, *cutover.areas)
    yield doctor.doctor
    for module in (archive, restore, activity, shards, check, databases, users, inventory, rehearsal):
        yield module.namespace


task_groups.install()
namespace = Collection(*listed(declared))

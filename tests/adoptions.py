"""The ledger lost, and mended from the store, as `inv archive.adopt --accept` does it."""

from __future__ import annotations

from functools import partial

from archiver.checks.unrecorded import unrecorded
from archiver.records import adopted
from archiver.runs.adopt import Adopted, adopter
from archiver.runs.adopt import adopt as adopt_all
from tests.worlds import World, sql


def adopt(world: World, *, turned: bool = False) -> list[Adopted]:
    """Adopt what no record names; return what became of each object. Objects are looked at in the order of their keys.

    That is chance for two of the same second; `turned`: in the other order.
    """
    with world.archiver() as archiver, archiver.databases.exclusive_lock():
        databases = archiver.databases
        objects = unrecorded(archiver.bucket, databases).objects[:: -1 if turned else 1]
        adopted.skip_known_ids(databases.master, [databases.session(name) for name in databases.shards])
        resources = adopter(databases, archiver.bucket, archiver.keys, archiver.work, world.environment.zone, objects)
        return adopt_all(resources, partial(adopted.adopt, databases.master), lambda outcome: None)


def lose_the_ledger(world: World) -> None:
    """Let master have no record of anything."""
    with sql(world, "master") as cursor:
        cursor.execute("DROP SCHEMA archiver CASCADE")

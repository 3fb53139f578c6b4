"""The ways out and back. On each the same is promised: rows leave for the store, and come back as they were."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest

from archiver.delete import batches, many
from archiver.records import purge_record
from archiver.records.state import State
from archiver.reshard import move
from archiver.runs import archive as archiving
from archiver.runs import pipeline, purge
from inventory.model import Fence
from rehearsal.seed_plan import SCHOOL
from tests.cases.attack_world import FEW, HERE, classrooms, rows, run
from tests.legacy_users import OLD, purged
from tests.months import archive_months, restore_months
from tests.worlds import SHARDS, World

MASTER, OTHER = "master", "shard_1"
MONTH, DAY = "2014-01", date(2014, 3, 5)
SPACIOUS = (MASTER, HERE, OTHER)


@dataclass(frozen=True, kw_only=True)
class Touched:
    """A table of which the way out deletes rows and the way back brings them: what adversities are tied to."""

    database: str
    table: str
    rows: str  # SQL: of `t`, those that leave; {rooms} are the school's classrooms
    changed: str  # an assignment that makes another row of one
    late: str  # SQL: adds a row that leads to one, to a table without a foreign key
    late_ends: str = ""  # SQL: removes it, where it is no row of theirs


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way out and back. `out` and `back` raise the first failure."""

    name: str
    touched: Touched
    databases: Sequence[str] = (MASTER, HERE)
    out: Callable[[World], object]
    back: Callable[[World], object]
    last: tuple[ModuleType, str]  # the function that begins to delete, when all is proven
    ready: Callable[[World, Path], World] = lambda world, folder: world
    at_once: bool = True  # no: rows of several tenants come back one after the other
    kind: str  # of the records that name the objects
    away: str  # SQL: of its lines, those whose objects hold rows that are nowhere else

    def before_deleting(self, patch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
        """Have an act come once, just before the first row is deleted."""
        module, name = self.last
        original, acts = getattr(module, name), [act]

        def acted(*words: object, **named: object) -> object:
            if acts:
                acts.pop()()
            return original(*words, **named)

        patch.setattr(module, name, acted)

    def archives(self, world: World) -> list[tuple[object, ...]]:
        """Return the objects that hold rows which are nowhere else."""
        if not rows(world, MASTER, "SELECT 1 WHERE to_regclass('archiver.archives') IS NOT NULL"):
            return []
        return rows(world, MASTER, f"SELECT location FROM {self.books} AND {self.away} ORDER BY 1")

    @property
    def books(self) -> str:
        """SQL: master's records of the way's kind, where more conditions may follow."""
        return f"archiver.archives WHERE kind = '{self.kind}'"

    def filled(self, world: World, statements: str) -> str:
        """Return SQL with the way's own table, rows and changes in it."""
        touched = self.touched
        filled = statements.replace("{late}", touched.late).replace("{late_ends}", touched.late_ends)
        filled = (
            filled.replace("{rows}", touched.rows)
            .replace("{table}", touched.table)
            .replace("{changed}", touched.changed)
        )
        return filled.replace("{rooms}", classrooms(world))


ATTEMPTS = Touched(
    database=HERE,
    table="attempts",
    rows="t.lesson_enrollment_id IN (SELECT l.id FROM lesson_enrollments l JOIN enrollments e ON e.id = l.enrollment_id"
    " WHERE l.status = 'completed' AND l.ended_at < '2014-01-01' AND e.classroom_id IN ({rooms}))",
    changed="answer = 'changed since'",
    late="INSERT INTO hint_views (attempt_id, created_at) SELECT min(t.id), '2020-01-01' FROM attempts t WHERE {rows}",
)
PREFERENCES = Touched(
    database=MASTER,
    table="preferences",
    rows=f"t.user_id IN ({OLD})",
    changed="name = 'changed since'",
    late="INSERT INTO taggings (taggable_type, taggable_id)"
    " SELECT 'User', min(t.user_id) FROM preferences t WHERE {rows}",
    late_ends="DELETE FROM taggings WHERE taggable_type = 'User'",
)


def _archive_one(world: World) -> None:
    world.archive(SCHOOL)


def _together(world: World, schools: Sequence[int]) -> None:
    failed: list[Exception] = []
    world.archive_together(*schools, on_result=lambda one: failed.append(one.error) if one.error else None)
    if failed:
        raise failed[0]


def _schools_here(world: World) -> tuple[int, ...]:
    """Return all schools of the shard: so many of its rows that tables are truncated and reloaded."""
    return tuple(row[0] for row in rows(world, MASTER, f"SELECT id FROM schools WHERE shard = '{HERE}' ORDER BY 1"))


def _restore_all(world: World) -> None:
    archived = rows(
        world,
        MASTER,
        "SELECT key::bigint FROM archiver.archives WHERE kind = 'tenant' AND state IN ('archived', 'restoring')",
    )
    world.restore(*sorted(row[0] for row in archived))


def _alone(world: World, folder: Path) -> World:
    """The world with one school on its shard, which a command keeps the application off."""
    run(world, MASTER, f"UPDATE schools SET shard = '{OTHER}' WHERE shard = '{HERE}' AND id <> {SCHOOL}")
    fence = Fence(close=f"touch {folder}/{{id}}", open=f"rm -f {folder}/{{id}}")
    return replace(world, environment=replace(world.environment, fence=fence))


def _archive_months(world: World) -> None:
    archive_months(world, DAY)


def _restore_months(world: World) -> None:
    for [month] in rows(
        world,
        MASTER,
        "SELECT DISTINCT key::jsonb #>> '{}' FROM archiver.archives"
        " WHERE kind = 'month' AND state = 'archived' ORDER BY 1",
    ):
        restore_months(world, str(month))


def _with_old_users(world: World, folder: Path) -> World:
    run(
        world,
        MASTER,
        "INSERT INTO preferences (user_id, name, value, created_at, updated_at)"
        f" SELECT id, 'theme', '\"dark\"', now(), now() FROM users WHERE id IN ({OLD})",
    )
    return world


def _purge(world: World) -> None:
    with world.archiver() as archiver:
        purged(archiver)


def _restore_purge(world: World) -> None:
    with world.archiver() as archiver:
        for each in purge_record.every(archiver.databases.master):
            if each.state is State.ARCHIVED:
                purge.restore(archiver, each.id)


WAYS = {
    way.name: way
    for way in (
        Way(
            name="one",
            touched=ATTEMPTS,
            out=_archive_one,
            back=_restore_all,
            last=(archiving, "delete_tenant"),
            kind="tenant",
            away="state IN ('archived', 'restoring')",
        ),
        Way(
            name="many by DELETE",
            touched=ATTEMPTS,
            out=lambda world: _together(world, FEW),
            back=_restore_all,
            last=(many, "empty_shard"),
            kind="tenant",
            away="state IN ('archived', 'restoring')",
        ),
        Way(
            name="many by truncate and reload",
            touched=ATTEMPTS,
            out=lambda world: _together(world, _schools_here(world)),
            back=_restore_all,
            last=(many, "empty_shard"),
            kind="tenant",
            away="state IN ('archived', 'restoring')",
        ),
        Way(
            name="month",
            touched=ATTEMPTS,
            out=_archive_months,
            back=_restore_months,
            at_once=False,
            last=(batches, "delete_in_batches"),
            kind="month",
            away="state = 'archived'",
        ),
        Way(
            name="move",
            touched=ATTEMPTS,
            out=lambda world: world.move_all("merge", HERE, OTHER),
            back=lambda world: world.move_all("split", OTHER, HERE),
            last=(move, "_swap"),
            ready=_alone,
            databases=SPACIOUS,
            kind="move",
            away="state <> 'moved'",
        ),
        Way(
            name="purge",
            touched=PREFERENCES,
            out=_purge,
            back=_restore_purge,
            last=(pipeline, "_delete"),
            ready=_with_old_users,
            databases=(MASTER, *SHARDS),
            kind="purge",
            away="state = 'archived'",
        ),
    )
}

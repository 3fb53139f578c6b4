"""The way back proves what the way out proves: a restore by which rows change, or others come, is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import pytest

from archiver.completeness import completeness
from archiver.postgres.session import DatabaseError
from errors import CutoverError
from inventory.load import FOLDER
from rehearsal.seed_plan import SCHOOL
from tests import oracle
from tests.cases.attack_world import DATABASES, HERE, count, given, quietly, rows, run
from tests.months import archive_months, restore_months
from tests.worlds import NewWorld, World

FUNCTION = "CREATE FUNCTION surprise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {acts} END $$;"
TRIGGER = FUNCTION + "CREATE TRIGGER surprise {when} INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION surprise()"
MAIL = "INSERT INTO public.outbox VALUES (NEW.id, 'welcome'); RETURN NULL;"
# What a migration does while a school, or a month, is away.
MASTER = {
    "a trigger changes rows": TRIGGER.format(
        acts="NEW.grade := 0; NEW.updated_at := now(); RETURN NEW;", when="BEFORE", table="students"
    ),
    "a trigger queues mails": TRIGGER.format(acts=MAIL, when="AFTER", table="users"),
}
COUNTING = FUNCTION.format(acts="INSERT INTO outbox VALUES (1, TG_OP); RETURN NULL;") + (
    "CREATE TRIGGER surprise AFTER {event} ON schools FOR EACH ROW EXECUTE FUNCTION surprise()"
)
SHARD = {
    "a trigger changes rows": TRIGGER.format(acts="NEW.answer := 'else'; RETURN NEW;", when="BEFORE", table="attempts"),
    "a trigger queues mails": TRIGGER.format(acts=MAIL, when="AFTER", table="attempts"),
}


OUTBOX = "CREATE TABLE outbox (what bigint, kind text)"


@dataclass(frozen=True)
class Away:
    """A school or a month that is away, and how it all was."""

    world: World
    records: str  # the table in which its archive is named
    before: oracle.Snapshot
    out: oracle.Snapshot
    named: list[tuple[object, ...]]

    def assert_whole(self, error: CutoverError | None) -> None:
        """All of it is back, and nothing besides; or it was refused, and is away and named as before."""
        found = oracle.snapshot(self.world.dsns)
        if error is None:
            assert not oracle.difference(self.before, replace(found, sequences=self.before.sequences))
        else:
            assert not oracle.difference(self.out, replace(found, sequences=self.out.sequences))
            assert locations(self.world, self.records) == self.named


def locations(world: World, kind: str) -> list[tuple[object, ...]]:
    """The archives that master names."""
    return rows(world, "master", f"SELECT location FROM archiver.archives WHERE kind = '{kind}' ORDER BY 1")


def away(world: World, records: str, act: Callable[[], object]) -> Away:
    """Archive something."""
    for database in DATABASES:
        run(world, database, OUTBOX)
    before = oracle.snapshot(world.dsns)
    act()
    named = locations(world, records)
    given(named, "an archive")
    return Away(world, records, before, oracle.snapshot(world.dsns), named)


@pytest.mark.parametrize("kind", MASTER)
def test_a_school_comes_back_as_it_was_or_not_at_all(new_world: NewWorld, kind: str) -> None:
    with new_world(DATABASES) as world:
        school = away(world, "tenant", lambda: world.archive(SCHOOL))
        run(world, "master", MASTER[kind])
        school.assert_whole(quietly(lambda: world.restore(SCHOOL)))


@pytest.mark.parametrize("kind", SHARD)
def test_a_month_comes_back_as_it_was_or_not_at_all(new_world: NewWorld, kind: str) -> None:
    with new_world(DATABASES) as world:
        month = away(world, "month", lambda: archive_months(world, date(2014, 3, 5)))
        run(world, HERE, SHARD[kind])
        month.assert_whole(quietly(lambda: restore_months(world, "2014-01")))


def test_a_plan_of_a_restore_names_what_would_fire(new_world: NewWorld) -> None:
    with new_world(DATABASES) as world:
        world.archive(SCHOOL)
        run(world, "master", OUTBOX + ";" + MASTER["a trigger queues mails"])
        plan = world.plan(SCHOOL)
        assert plan.refused
        assert "surprise" in repr(plan)


@pytest.mark.parametrize("event", ["INSERT", "DELETE"])
def test_a_trigger_that_may_fire_finds_its_tables(new_world: NewWorld, tmp_path: Path, event: str) -> None:
    written = (FOLDER / "catalog.yaml").read_text()
    allowed = written.replace("{group: school}", "{group: school, triggers: {surprise: only counts}}", 1)
    (tmp_path / "catalog.yaml").write_text(allowed)
    with new_world(DATABASES) as bare:
        world = replace(bare, environment=replace(bare.environment, catalog=str(tmp_path / "catalog.yaml")))
        run(world, "master", OUTBOX + ";" + COUNTING.format(event=event))
        with world.archiver() as archiver:
            completeness.prove_complete(archiver.databases)
        error = quietly(lambda: world.archive(SCHOOL)) or quietly(lambda: world.restore(SCHOOL))
        assert not isinstance(error, DatabaseError), error
        assert error or count(world, "master", "outbox") == 1

"""Past months leave just as an independent oracle says, month by month, and come back whole."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime

import pytest

from archiver.catalog.model import Part
from archiver.records.cutoff import month_due
from errors import RefusedError
from rehearsal.seed_plan import SCHOOL
from runbooks.activity import span_at
from tests import oracle
from tests.months import archive_months, restore_months
from tests.oracle import Lines
from tests.oracle_months import LEAVING, expected_after_month
from tests.oracle_rows import LEAVING_SHARD
from tests.torture.months import Table, archived_slices, carried, judged
from tests.torture.writers import hammering
from tests.worlds import NewWorld, World, same, sql

SHARD = "shard_3"  # the school's
FIRST = date(2012, 10, 5)
ALL_OVER = date(2014, 9, 5)  # July and earlier: of the two years nothing is left that ended


def test_each_month_of_two_years_leaves_exactly_what_the_oracle_names_while_others_write(new_world: NewWorld) -> None:
    with new_world(("master", SHARD, "shard_4")) as world, world.by_one_worker() as busy:
        before, due = oracle.snapshot(world.dsns), due_by_month(world)

        with hammering(world, SCHOOL, SHARD, seed=0) as hammer:
            for day in days(FIRST, ALL_OVER):
                archive_months(busy, day)

        # Every row that was ever committed is live, or archived, and none is both.
        whole, live = hammer.after(before), oracle.snapshot(world.dsns)
        assert hammer.writes
        judged(world, whole, replace(live, sequences=whole.sequences))
        # Of all other schools there went, with each month, what the oracle had named.
        assert gone_by_month(world) == due
        # And once the writers have stopped, nothing is left that is due.
        archive_months(busy, ALL_OVER)
        left = oracle.snapshot(world.dsns)
        same(expected_after_month(world.dsns, utc(world, ALL_OVER), left), left)


def due_by_month(world: World) -> Mapping[str, Mapping[Table, Counter[bytes]]]:
    """Return the rows that the oracle names with each month, of all but the school that is written to."""
    named: dict[str, Mapping[Table, Counter[bytes]]] = {}
    before: Counter[tuple[Table, bytes]] = Counter()
    for day in days(FIRST, ALL_OVER):
        args = {"before": utc(world, day), "kept": classrooms(world)}
        now: Counter[tuple[Table, bytes]] = Counter()
        for shard in (SHARD, "shard_4"):
            for name, lines in oracle.rows_where(world.dsns[shard], LEAVING, args).items():
                shown = carried(world, (shard, name), lines)
                now.update({((shard, name), line): count for line, count in shown.items()})
        named[str(month_due(day))] = by_table(now - before)
        before = now
    return named


def gone_by_month(world: World) -> Mapping[str, Mapping[Table, Counter[bytes]]]:
    """Return the rows that the store has of each month, of all but that school."""
    gone: dict[str, Counter[tuple[Table, bytes]]] = {str(month_due(day)): Counter() for day in days(FIRST, ALL_OVER)}
    for one in archived_slices(world):
        if one.school != SCHOOL:
            for table, lines in one.rows.items():
                gone[one.month].update({(table, line): count for line, count in lines.items()})
    return {month: by_table(rows) for month, rows in gone.items()}


def by_table(rows: Counter[tuple[Table, bytes]]) -> Mapping[Table, Counter[bytes]]:
    tables: dict[Table, Counter[bytes]] = {}
    for (table, line), count in rows.items():
        tables.setdefault(table, Counter())[line] += count
    return tables


def test_months_come_back_the_latest_first(new_world: NewWorld) -> None:
    with new_world(("master", SHARD)) as world, world.by_one_worker() as busy:
        before = oracle.snapshot(world.dsns)
        for day in (date(2013, 12, 5), ALL_OVER):
            archive_months(busy, day)
        with pytest.raises(RefusedError, match=r"Restoring 2013-10 of school .* are archived with a later month"):
            restore_months(busy, "2013-10")

        for month in ("2014-07", "2013-10"):
            assert restore_months(busy, month, pretend=True)
            restore_months(busy, month)

        same(before, oracle.snapshot(world.dsns))


def test_a_school_archived_after_its_months_comes_back_with_them(new_world: NewWorld) -> None:
    with new_world(("master", SHARD, "shard_4")) as world, world.by_one_worker() as busy:
        before, whole = oracle.snapshot(world.dsns), of_school(world)
        for day in (date(2013, 12, 5), date(2014, 3, 5), ALL_OVER):
            archive_months(busy, day)
        assert of_school(world) != whole
        busy.archive(SCHOOL)
        with pytest.raises(RefusedError, match=f"school {SCHOOL} refused: the school is not live"):
            restore_months(busy, "2014-07", SCHOOL)

        busy.restore(SCHOOL)

        assert of_school(world) == whole
        for month in ("2014-07", "2014-01", "2013-10"):
            restore_months(busy, month)
        same(before, oracle.snapshot(world.dsns))


def test_months_of_classrooms_that_are_archived_wait_for_them(new_world: NewWorld) -> None:
    with new_world(("master", SHARD)) as world, world.by_one_worker() as busy:
        before, [room, *_] = oracle.snapshot(world.dsns), classrooms(world)
        archive_months(busy, ALL_OVER)
        busy.archive(SCHOOL, depth="promote")

        for only in (None, Part("classroom", room)):  # nor where one classroom is back, and the others are not
            if only:
                busy.restore(SCHOOL, only=only)
            with pytest.raises(RefusedError, match=f"of school {SCHOOL} refused: the parents of its rows are archived"):
                restore_months(busy, "2014-07", SCHOOL)
        archive_months(busy, ALL_OVER)
        busy.restore(SCHOOL)

        restore_months(busy, "2014-07")
        same(before, oracle.snapshot(world.dsns))


def test_each_of_two_archives_of_a_school_brings_back_the_months_from_before_it(new_world: NewWorld) -> None:
    with new_world(("master", SHARD)) as world, world.by_one_worker() as busy:
        archive_months(busy, date(2013, 12, 5))
        busy.archive(SCHOOL, depth="students", year=2012)
        with sql(world, "master") as master, sql(world, SHARD) as shard:
            master.execute(ROOM, (SCHOOL,))
            shard.execute(ENROLLMENT, master.fetchone())
        whole = of_school(world)
        archive_months(busy, ALL_OVER)
        assert of_school(world) != whole
        busy.archive(SCHOOL)

        busy.restore(SCHOOL, year=2012)
        archive_months(busy, ALL_OVER)  # rows below the other archive would be orphans
        busy.restore(SCHOOL, year=2013)

        assert {*whole["enrollments"]} < {*of_school(world)["enrollments"]}


ROOM = "INSERT INTO classrooms (school_id, created_at, updated_at) VALUES (%s, now(), now()) RETURNING id"
ENROLLMENT = (
    "INSERT INTO enrollments (classroom_id, status, ended_at, created_at, updated_at)"
    " VALUES (%s, 'completed', '2014-01-05', '2014-01-01', '2014-01-05')"
)


def of_school(world: World) -> Mapping[str, Lines]:
    """The school's rows on its shard."""
    return oracle.rows_where(world.dsns[SHARD], LEAVING_SHARD, {"classrooms": classrooms(world)})


def classrooms(world: World) -> list[int]:
    """The school's."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM classrooms WHERE school_id = %s", (SCHOOL,))
        return [row[0] for row in cursor.fetchall()]


def days(first: date, last: date) -> Iterator[date]:
    """The same day of each month."""
    while first <= last:
        yield first
        first = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def utc(world: World, day: date) -> datetime:
    """The moment that ends a span, as the product's columns without zone have it."""
    return span_at(world.environment, day).before.astimezone(UTC).replace(tzinfo=None)

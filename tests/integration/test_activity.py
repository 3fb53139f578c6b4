"""Past months leave just as an independent oracle says, month by month, and come back whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, date, datetime

import pytest

from errors import RefusedError
from rehearsal.seed_plan import SCHOOL
from runbooks.activity import span_at
from tests import oracle
from tests.months import archive_months, restore_months
from tests.oracle import Lines
from tests.oracle_months import expected_after_month
from tests.oracle_rows import LEAVING_SHARD
from tests.worlds import World, same, sql

ALL_OVER = date(2014, 9, 5)  # July and earlier: of the two years nothing is left that ended


def test_each_month_of_two_years_leaves_just_what_the_oracle_names(world: World) -> None:
    found, gone = oracle.snapshot(world.dsns), 0
    with world.by_one_worker() as busy:
        for day in days(date(2012, 10, 5), ALL_OVER):
            expected = expected_after_month(world.dsns, utc(world, day), found)

            gone += sum(sum(shard.gone.values()) for shard in archive_months(busy, day))

            found = oracle.snapshot(world.dsns)
            same(expected, found)
    assert gone > 10_000


def test_months_come_back_the_latest_first(world: World) -> None:
    before = oracle.snapshot(world.dsns)
    with world.by_one_worker() as busy:
        for day in (date(2013, 12, 5), ALL_OVER):
            archive_months(busy, day)
        with pytest.raises(RefusedError, match=r"Restoring 2013-10 of school .* went with a later month"):
            restore_months(busy, "2013-10")

        for month in ("2014-07", "2013-10"):
            assert restore_months(busy, month, pretend=True)
            restore_months(busy, month)

    same(before, oracle.snapshot(world.dsns))


def test_a_school_archived_after_its_months_comes_back_with_them(world: World) -> None:
    before = oracle.snapshot(world.dsns)
    whole = of_school(world)
    with world.by_one_worker() as busy:
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


def of_school(world: World) -> Mapping[str, Lines]:
    """The school's rows on its shard."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM classrooms WHERE school_id = %s", (SCHOOL,))
        classrooms = [row[0] for row in cursor.fetchall()]
    return oracle.rows_where(world.dsns["shard_3"], LEAVING_SHARD, {"classrooms": classrooms})


def days(first: date, last: date) -> Iterator[date]:
    """The same day of each month."""
    while first <= last:
        yield first
        first = first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)


def utc(world: World, day: date) -> datetime:
    """The moment that ends a span, as the product's columns without zone have it."""
    return span_at(world.environment, day).before.astimezone(UTC).replace(tzinfo=None)

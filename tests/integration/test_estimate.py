"""Sizes and durations of schools, estimated and then compared with the live ones."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from archiver.estimate import rates, sizes
from archiver.estimate.estimate import Estimate, estimate
from archiver.estimate.sizes import Sizes
from archiver.estimate.written_rows import written_since
from errors import RefusedError
from inventory.keys import Key
from inventory.load import load_catalog
from runbooks.archives.estimate import lines
from runbooks.cli.tables import TextTable
from tests import oracle
from tests.worlds import DATABASES, YEAR, World, school_ids, sql


@pytest.fixture
def analyzed(world: World) -> World:
    for name in DATABASES:
        with sql(world, name) as cursor:
            cursor.execute("ANALYZE")
    return world


def sizes_of(world: World) -> Sizes:
    with world.archiver() as archiver:
        return sizes.read(archiver.databases)


def carried(world: World) -> tuple[int, int]:
    """The rows and bytes of all tables that the catalog carries."""
    tables = load_catalog(world.environment.catalog).databases
    live = oracle.snapshot(world.dsns)
    rows, bytes_ = 0, 0
    for name in DATABASES:
        of_kind = list(tables["master" if name == "master" else "shard"])
        rows += sum(live.count(name, table) for table in of_kind)
        with sql(world, name) as cursor:
            cursor.execute(
                "SELECT sum(pg_table_size(to_regclass('public.' || t)))::bigint FROM unnest(%s) t", (of_kind,)
            )
            bytes_ += cursor.fetchall()[0][0]
    return rows, bytes_


def leaving(world: World, school: Key) -> int:
    """Return the number of rows that leave with a school."""
    assert isinstance(school, int)
    before, after = oracle.snapshot(world.dsns), oracle.expected_after_archive(world.dsns, school, "all")
    return sum(
        len(rows) - after.count(name, table) for name in DATABASES for table, rows in before.tables[name].items()
    )


def test_the_biggest_school_is_first_and_the_total_is_nearly_exact(analyzed: World) -> None:
    found = sizes_of(analyzed)

    first, second = found.tenants[:2]
    truly = leaving(analyzed, first.tenant.id)
    assert truly > leaving(analyzed, second.tenant.id)
    assert first.rows == pytest.approx(truly, rel=0.15)
    assert [size.tenant.id for size in sorted(found.tenants, key=lambda size: size.tenant.id)] == school_ids(analyzed)
    assert found.analyzed_at is not None
    live = oracle.snapshot(analyzed.dsns)
    for head, share in (("classrooms", 0.001), ("students", 0.05)):  # counted, and told from the statistics
        truly = live.count("master", head)
        assert sum(size.heads[head] for size in found.tenants) == pytest.approx(truly, rel=share)
    rows, bytes_ = carried(analyzed)
    assert sum(size.rows for size in found.tenants) == pytest.approx(rows, rel=0.05)
    assert sum(size.bytes for size in found.tenants) == pytest.approx(bytes_, rel=0.05)


def test_times_come_from_records_and_from_pretending_where_there_are_none(analyzed: World) -> None:
    all_schools = school_ids(analyzed)
    with analyzed.archiver() as archiver:
        assert rates.recorded(archiver.databases.master) == []
        measured = rates.measure(archiver, sizes.read(archiver.databases).tenants, YEAR)
    assert (len(measured), school_ids(analyzed)) == (2, all_schools)
    pretended = told(analyzed, measured)
    assert "pretending to archive 2 schools just now" in pretended[-1]
    assert "statistics of 20" in pretended[-1]

    analyzed.archive(*all_schools[:3])
    with analyzed.archiver() as archiver:
        recorded = rates.recorded(archiver.databases.master)
    assert all(sample.archive > sample.extract + sample.verify + (sample.delete or 0) > 0 for sample in recorded)
    assert f"{len(all_schools) - 3}, one after the other" in told(analyzed, recorded)[0]
    assert told(analyzed, recorded)[-2].startswith("inv archive.all, with 2 workers: about ")
    assert "3 records" in told(analyzed, recorded)[-1]


def told(world: World, samples: list[rates.ArchiveSample]) -> list[str]:
    """The row of all schools, and the sentences below the table."""
    table, *sentences = lines("school", worked_out(world, samples))
    assert isinstance(table, TextTable)
    return [" ".join(table.rows[-1]), *map(str, sentences)]


def worked_out(world: World, samples: list[rates.ArchiveSample]) -> Estimate:
    found = sizes_of(world)
    return estimate(found.tenants, rates.rates(samples), 3, found.analyzed_at, workers=2, in_sets=True)


def test_a_table_without_statistics_is_named_and_nothing_is_guessed(analyzed: World) -> None:
    with sql(analyzed, "shard_2") as cursor:
        cursor.execute("CREATE TABLE fresh (LIKE hint_views); INSERT INTO fresh SELECT * FROM hint_views")
        cursor.execute("DROP TABLE hint_views; ALTER TABLE fresh RENAME TO hint_views")

    with pytest.raises(RefusedError, match=r"no statistics of shard_2\.hint_views\."):
        sizes_of(analyzed)


def test_what_was_written_since_a_backup_is_counted_with_the_schools_whose_it_is(world: World) -> None:
    """By ways within a shard, across to master, and by each of several links of a table."""
    since = datetime(2100, 1, 1, tzinfo=UTC)

    def written() -> tuple[int, int]:
        with world.archiver() as archiver:
            found = written_since(archiver.databases, since, seen=True)
        assert "master.classroom_students" in found.timeless
        return found.tenants, found.rows

    assert written() == (0, 0)
    with sql(world, "shard_1") as cursor:
        cursor.execute(
            "UPDATE attempts SET created_at = '2100-06-01' WHERE lesson_enrollment_id ="
            " (SELECT min(lesson_enrollment_id) FROM attempts)"
        )
        attempts = cursor.rowcount
    assert attempts
    assert written() == (1, attempts)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET updated_at = '2100-06-01' WHERE shard <> 'shard_1'")
        schools = cursor.rowcount
    assert written() == (1 + schools, attempts + schools)

"""Dropping a school's archive takes its rows out of its months' objects, and leaves every other school's there."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from archiver.records import audit_log, month_record, slice_record
from archiver.runs import month_object
from archiver.store.bucket import Bucket, StorageError, file_digests
from errors import DamagedError, Problems, RefusedError, UsageError
from inventory.keys import Key
from inventory.model import Fence
from runbooks.cli import call
from tests import oracle
from tests.inside import inv_inside
from tests.integration.test_encryption import Team, encrypting, holding
from tests.months import archive_months, restore_months
from tests.torture.runs import Act, run
from tests.worlds import YEAR, NewWorld, World, same, sql

SCHOOL, SHARD = 13, "shard_3"
DAY, MONTH = date(2014, 9, 5), "2014-07"  # July and earlier
EARLIER, EARLIER_MONTH = date(2013, 12, 5), "2013-10"
OTHER_YEAR, OTHER_MONTH = date(2013, 7, 5), "2013-05"  # of the school year 2012
TARBALL = f"{YEAR}_school_{SCHOOL}.tar.gz"
Slices = Mapping[tuple[str, Key], bytes]  # by month and school


@pytest.fixture
def world(new_world: NewWorld) -> Iterator[World]:
    with new_world(("master", SHARD)) as world, world.by_one_worker() as busy:
        yield busy


def slices(world: World, folder: Path) -> Slices:
    """Fetch every slice that is recorded, as it is in the store."""
    found: dict[tuple[str, Key], bytes] = {}
    with world.archiver() as archiver:
        for month in month_record.every(archiver.databases.master):
            for each in slice_record.of_archive(archiver.databases.master, month):
                work = folder / f"slice-{len(list(folder.iterdir()))}"
                work.mkdir()
                found[month.month, each.tenant_id] = month_object.fetch(archiver, each, work).read_bytes()
    return found


def without_school(found: Slices, month: str = "") -> Slices:
    """Leave out the school's slices, of a month or of all."""
    return {key: content for key, content in found.items() if key[1] != SCHOOL or month not in ("", key[0])}


def objects(world: World) -> list[str]:
    """Return the keys of all months' objects."""
    return sorted(Bucket(world.environment.store).keys("activity/"))


def locations(world: World) -> list[str]:
    """Return the locations that the records of months name."""
    with world.archiver() as archiver:
        return [each.location for each in month_record.every(archiver.databases.master)]


def located(world: World) -> set[str]:
    """Return the locations that the shard's markers of others name: a lost ledger is mended by them."""
    with sql(world, SHARD) as cursor:
        cursor.execute("SELECT content ->> 'location' FROM archiver.markers WHERE act ~ '^slice (?!13 ).* went$'")
        return {row[0] for row in cursor.fetchall()}


def everything(world: World) -> tuple[list[str], list[tuple[object, ...]]]:
    """Return all keys in the store, and the ledger."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT kind, id, key, state, location, sha256 FROM archiver.archives ORDER BY 1, 2")
        archives = cursor.fetchall()
        cursor.execute("SELECT archive_id, key, start, size, sha256 FROM archiver.members ORDER BY 1, 2")
        return sorted(Bucket(world.environment.store).keys()), [*archives, *cursor.fetchall()]


@pytest.mark.parametrize("encrypted", [False, True])
def test_the_rows_of_the_year_leave_their_months_and_those_of_others_come_back_equal(
    new_world: NewWorld, tmp_path: Path, *, encrypted: bool
) -> None:
    with new_world(("master", SHARD)) as plain:
        team = Team(tmp_path, "team")
        holder = holding(encrypting(plain, team), team) if encrypted else plain
        with holder.by_one_worker() as world:
            world.archive(SCHOOL)
            away = oracle.snapshot(world.dsns)
            world.restore(SCHOOL)
            with sql(world, "master") as cursor:
                cursor.execute("DELETE FROM archiver.held")
            archive_months(world, EARLIER)
            archive_months(world, DAY)
            world.archive(SCHOOL)
            (tmp_path / "slices").mkdir()
            before, keys = slices(world, tmp_path / "slices"), objects(world)
            assert {(MONTH, SCHOOL), (EARLIER_MONTH, SCHOOL)} < {*before}

            result = world.drop(SCHOOL)

            assert [each.month.month for each in result.months] == [MONTH, EARLIER_MONTH]
            assert slices(world, tmp_path / "slices") == without_school(before)
            assert len(objects(world)) == len(keys)
            assert not {*objects(world)} & {*keys}
            assert located(world) == {*locations(world)}
            with pytest.raises(UsageError, match="School 13 is not archived"):
                world.drop(SCHOOL)
            restore_months(world, MONTH)
            restore_months(world, EARLIER_MONTH)
            same(away, oracle.snapshot(world.dsns))


def test_months_of_another_year_keep_the_rows(world: World, tmp_path: Path) -> None:
    archive_months(world, OTHER_YEAR)
    archive_months(world, DAY)
    world.archive(SCHOOL)
    before = slices(world, tmp_path)
    assert {(OTHER_MONTH, SCHOOL), (MONTH, SCHOOL)} < {*before}

    world.drop(SCHOOL)

    assert slices(world, tmp_path) == without_school(before, MONTH)


def test_a_month_ends_with_its_last_slice(world: World, tmp_path: Path) -> None:
    archive_months(world, DAY)
    others = {school for _, school in without_school(slices(world, tmp_path))}
    for school in others:
        restore_months(world, MONTH, school)
    world.archive(SCHOOL)
    [location] = locations(world)

    world.drop(SCHOOL)

    assert objects(world) == []
    with world.archiver() as archiver:
        assert audit_log.closed_slices(archiver.databases.master, location) == {*others, SCHOOL}
        assert month_record.every(archiver.databases.master) == ()


def gone(bucket: Bucket, key: str, path: Path) -> None:
    bucket.delete(key)


def altered(bucket: Bucket, key: str, path: Path) -> None:
    """Put other bytes of the same length in place of an object."""
    bucket.get(key, path)
    bucket.delete(key)
    path.write_bytes(bytes(path.stat().st_size))
    bucket.put(key, path, file_digests(path))


@pytest.mark.parametrize("lose", [gone, altered])
def test_a_lost_month_is_refused_before_anything_and_stays_if_it_is_named(
    world: World, tmp_path: Path, lose: Callable[[Bucket, str, Path], None]
) -> None:
    bucket = Bucket(world.environment.store)
    archive_months(world, EARLIER)
    archive_months(world, DAY)
    world.archive(SCHOOL)
    lose(bucket, next(key for key in objects(world) if EARLIER_MONTH in key), tmp_path / "object")
    unchanged = everything(world)

    with pytest.raises((DamagedError, StorageError)) as refused:
        world.drop(SCHOOL)
    command = f"inv archive.drop-archive {SCHOOL} --year={YEAR} --without-month={EARLIER_MONTH}"
    assert command in refused.value.hint
    with pytest.raises(Problems, match="Nothing was dropped of school 13 of 2013: these months do not come with it"):
        world.drop(SCHOOL, without=[EARLIER_MONTH, "2011-01"])
    assert everything(world) == unchanged

    result = world.drop(SCHOOL, without=[EARLIER_MONTH])

    assert [each.month.month for each in result.months] == [MONTH]
    with world.archiver() as archiver:
        [left] = slice_record.of_tenant(archiver.databases.master, SCHOOL)
    assert left.month.month == EARLIER_MONTH
    restore_months(world, MONTH)


def test_months_of_a_school_whose_rows_are_live_stay(world: World, tmp_path: Path) -> None:
    archive_months(world, DAY)
    location = Bucket(world.environment.store).location(f"{YEAR}/{SCHOOL}/1/{TARBALL}")
    with sql(world, "master") as cursor:  # an extraction whose deletion never began
        cursor.execute(
            "INSERT INTO archiver.archives"
            " (kind, key, tenant_name, year, shard, depth, state, location, operator, host)"
            " VALUES ('tenant', '13', 'x', %s, %s, 'all', 'verified', %s, 'ann', 'debug')",
            (YEAR, SHARD, location),
        )
    before = slices(world, tmp_path)

    assert world.drop(SCHOOL).months == ()

    assert slices(world, tmp_path) == before


def test_a_month_whose_run_was_interrupted_is_refused(world: World) -> None:
    archive_months(world, DAY)
    world.archive(SCHOOL)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE archiver.archives SET state = 'deleting' WHERE kind = 'month'")
    unchanged = everything(world)

    with pytest.raises(RefusedError, match=r"is deleting, by a run that was interrupted") as refused:
        world.drop(SCHOOL)

    assert refused.value.hint == "Finish that first: inv activity.archive"
    assert everything(world) == unchanged


def test_what_goes_is_shown_before_the_name_is_typed_and_nothing_goes_with_another_name(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    archive_months(world, DAY)
    world.archive(SCHOOL)
    unchanged = everything(world)
    monkeypatch.setattr(call, "load_environment", lambda *_, **__: world.environment)
    [key] = objects(world)
    with world.archiver() as archiver:
        [own] = slice_record.of_tenant(archiver.databases.master, SCHOOL)
    shown = f"  {MONTH}: {own.deleted_rows:,} rows of school {SCHOOL} in {own.month.location}\n"

    for words in ((), ("--tarball=2013_school_9.tar.gz",)):
        said = inv_inside(capsys, "archive.drop-archive", str(SCHOOL), *words, "--here")

        assert (said.code, shown in said.out, "Nothing was dropped" in said.err) == (2, True, True), said
        assert everything(world) == unchanged

    said = inv_inside(capsys, "archive.drop-archive", str(SCHOOL), f"--tarball={TARBALL}", "--here")

    assert said.code == 0, said
    assert f"{MONTH}: {own.deleted_rows:,} rows of school {SCHOOL} are deleted from its archive." in said.out
    assert key not in objects(world)


def test_a_drop_killed_at_any_instant_and_run_again_ends_right(new_world: NewWorld, tmp_path: Path) -> None:
    """One drop, killed at each write in turn: each run gets as far as the write after."""
    with new_world(("master", SHARD)) as world:
        archive_months(world, EARLIER)
        archive_months(world, DAY)
        world.archive(SCHOOL)
        before, act = slices(world, tmp_path), Act(verb="drop", school=SCHOOL, depth="")
        old = [*objects(world)]
        month = [f"put {MONTH}_{SHARD}.tar", "master: COMMIT (dropping a slice of 2014-07 of shard_3)"]
        earlier = [f"put {EARLIER_MONTH}_{SHARD}.tar", "master: COMMIT (dropping a slice of 2013-10 of shard_3)"]
        deletes = [f"delete {MONTH}_{SHARD}.tar", f"delete {EARLIER_MONTH}_{SHARD}.tar"]
        own = [f"delete {TARBALL}", f"master: COMMIT (dropping {TARBALL})"]
        moments = [*month, deletes[0], *earlier, deletes[1], *own]

        for moment in moments:
            for when in ("before", "after"):
                if (when, moment) == ("after", moments[-1]):
                    break
                ending = run(world, act, die_at=f"{when} {moment}")
                assert ending.killed, (when, moment, ending)
                now = slices(world, tmp_path)
                assert without_school(now) == without_school(before), (when, moment)
        assert not (last := run(world, act)).broke + last.refused

        assert slices(world, tmp_path) == without_school(before)
        assert not {*old} & {*objects(world)}
        assert located(world) == {*locations(world)}
        assert list(Bucket(world.environment.store).keys(f"{YEAR}/{SCHOOL}/")) == []
        restore_months(world, MONTH)


def test_a_school_leaves_a_month_of_a_shard_that_was_merged(new_world: NewWorld, alike: str, tmp_path: Path) -> None:
    with new_world(("master", "shard_1", "shard_2", "shard_4"), template=alike) as few:
        with sql(few, "master") as cursor:
            cursor.execute("UPDATE schools SET shard = 'shard_4' WHERE id NOT IN (5, 9, 25)")
        archive_months(few, DAY)
        few.archive(9)
        fence = Fence(close=f"touch {tmp_path}/{{id}}", open=f"rm {tmp_path}/{{id}}")
        few = replace(few, environment=replace(few.environment, fence=fence))
        few.move_all("merge", "shard_2", "shard_1")
        (tmp_path / "slices").mkdir()
        before = slices(few, tmp_path / "slices")

        few.drop(9)

        kept = {key: content for key, content in before.items() if key[1] != 9}
        assert len(kept) == len(before) - 1
        assert slices(few, tmp_path / "slices") == kept
        restore_months(few, MONTH)

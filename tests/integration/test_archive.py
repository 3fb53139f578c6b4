"""One school out and back on real servers, judged by an oracle that shares nothing with the archiver."""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path

import psycopg2
import pytest

from archiver.checks import audit
from archiver.postgres.session import Session
from archiver.postgres.tenants import Exclude, Include, TenantFilter
from archiver.records import archive_record, deleted_keys, resolve
from archiver.records.archive_request import ArchiveRequest
from archiver.records.state import State
from archiver.records.unmatched import unmatched
from archiver.runs.archive import archive
from archiver.store.bucket import Bucket
from errors import CutoverError, DamagedError, LockedError, Problems, RefusedError, UsageError
from inventory.catalog import DEFAULT_DEPTH
from tests import oracle
from tests.killed import before_master_commits
from tests.worlds import NIGHT, YEAR, World, raise_failure, same, school_ids, sql

PLAIN = 13


def test_the_record_holds_the_request(world: World) -> None:
    [outcome] = world.archive(PLAIN)
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, PLAIN)
        found = archiver.bucket.get(archiver.bucket.key(record.location), archiver.work / "copy")

    assert outcome.detail is not None
    assert record.state is State.ARCHIVED
    assert (record.tenant_id, record.year, record.depth) == (PLAIN, YEAR, DEFAULT_DEPTH)
    assert record.tenant_name
    assert record.customer_id
    assert record.customer_name
    assert record.location.endswith(f"/2013_school_{PLAIN}.tar.gz")
    assert (record.size, record.md5, record.sha256) == (found.size, found.md5, found.sha256)
    assert record.seconds_to_extract
    assert record.seconds_to_restore
    deleted = sum(outcome.detail.deleted.values())
    assert deleted + sum(outcome.detail.retained.values()) == record.rows == outcome.rows


def test_pretend_leaves_no_trace(world: World) -> None:
    before = oracle.snapshot(world.dsns)

    [outcome] = world.archive(PLAIN, pretend=True)

    assert outcome.rows
    same(before, oracle.snapshot(world.dsns))
    with world.archiver() as archiver:
        assert archive_record.of_tenant(archiver.databases.master, PLAIN) == ()
        assert list(archiver.bucket.keys()) == []


def test_pretending_to_restore_loads_nothing(world: World) -> None:
    world.archive(PLAIN)
    before = oracle.snapshot(world.dsns)

    [restored] = world.restore(PLAIN, pretend=True)

    assert sum(loaded.inserted for loaded in restored.result().values()) == restored.item.rows
    same(before, oracle.snapshot(world.dsns))
    world.restore(PLAIN)


def test_tar_and_psql_alone_restore_an_archive(world: World, tmp_path: Path, psql: Path) -> None:
    before = oracle.snapshot(world.dsns)
    world.archive(PLAIN)
    after = oracle.snapshot(world.dsns)
    tarball, shard = fetched(world, PLAIN, tmp_path)

    dsns = {"SHARD": world.dsns[shard], "MASTER": world.dsns["master"]}
    by_its_readme(tarball, tmp_path, psql, dsns)

    assert after != before
    same(before, oracle.snapshot(world.dsns))


def test_an_archive_can_be_inspected_in_an_empty_database(world: World, tmp_path: Path, psql: Path, empty: str) -> None:
    [outcome] = world.archive(PLAIN)
    tarball, _ = fetched(world, PLAIN, tmp_path)

    by_its_readme(tarball, tmp_path, psql, {"look": empty})

    found = oracle.snapshot({"master": empty}).tables["master"]
    assert sum(len(rows) for rows in found.values()) == outcome.rows


def fetched(world: World, school: int, folder: Path) -> tuple[Path, str]:
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, school)
        path = folder / "archive.tar.gz"
        archiver.bucket.get(archiver.bucket.key(record.location), path)
        return path, record.shard


def by_its_readme(tarball: Path, folder: Path, psql: Path, dsns: Mapping[str, str]) -> None:
    """Unpack with tar, and run the psql lines of the archive's own README for these databases."""
    subprocess.run(["tar", "xzf", tarball], cwd=folder, check=True)
    lines = [shlex.split(line) for line in (folder / "README").read_text().splitlines() if line.startswith("  psql ")]
    wanted = [words for words in lines if words[words.index("-d") + 1] in dsns]
    assert len(wanted) == len(dsns)
    for _, *words in wanted:
        place = words.index("-d") + 1
        command = [str(psql), "-X", "-q", *words[:place], dsns[words[place]], *words[place + 1 :]]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)


def test_the_largest_school_takes_as_many_statements_as_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    statements: list[str] = []
    for method in ("rows", "execute", "copy_out", "copy_in"):
        original = getattr(Session, method)

        def counted(self: Session, *args: object, _original: object = original, **words: object) -> object:
            statements.append(str(args[0]))
            return _original(self, *args, **words)  # type: ignore[operator]

        monkeypatch.setattr(Session, method, counted)
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT s.id, count(*) FROM schools s JOIN classrooms c ON c.school_id = s.id"
            " JOIN classroom_students cs ON cs.classroom_id = c.id GROUP BY s.id ORDER BY 2"
        )
        sizes = cursor.fetchall()
    counts = {}
    for school, _ in (sizes[len(sizes) // 2], sizes[-1]):
        statements.clear()
        world.archive(school)
        counts[school] = len(statements)

    small, large = counts.values()
    assert sizes[-1][1] > 20 * sizes[len(sizes) // 2][1]
    assert large <= 1.1 * small  # a table without a row needs no DELETE


CHANGES = {
    "a new row": "INSERT INTO classrooms (school_id, name, created_at, updated_at) VALUES (13, 'new', now(), now())",
    "a changed row": "UPDATE classrooms SET name = 'changed' WHERE school_id = 13",
    "a vanished row": "DELETE FROM taggings WHERE taggable_id = 13 AND taggable_type = 'School'",
    "a row that moved in": "UPDATE school_assignments SET school_id = 13 WHERE school_id <> 13",
}


@pytest.mark.parametrize("change", CHANGES)
def test_rows_that_changed_since_the_extraction_are_not_deleted(
    world: World, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    def busy(*args: object) -> object:
        with sql(world, "master") as cursor:
            cursor.execute(CHANGES[change])
            assert cursor.rowcount
        return deleting(*args)  # type: ignore[arg-type]

    deleting = archive_record.deleting
    monkeypatch.setattr(archive_record, "deleting", busy)
    with pytest.raises(RefusedError, match=r"rows changed since they were archived: master\.\w+ \(\d+ rows archived"):
        world.archive(13)

    monkeypatch.undo()
    assert 13 in school_ids(world)
    expected = oracle.expected_after_archive(world.dsns, 13, "all")
    world.archive(13)
    same(expected, oracle.snapshot(world.dsns))


def test_a_row_that_was_updated_to_the_same_values_is_deleted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def busy(*args: object) -> object:
        with sql(world, "master") as cursor:
            cursor.execute("UPDATE classrooms SET name = name WHERE school_id = 13")
        return deleting(*args)  # type: ignore[arg-type]

    deleting = archive_record.deleting
    monkeypatch.setattr(archive_record, "deleting", busy)

    world.archive(13)

    assert 13 not in school_ids(world)


def test_a_deletion_interrupted_between_shard_and_master_is_finished_by_the_next_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = oracle.expected_after_archive(world.dsns, 13, "all")
    before = oracle.snapshot(world.dsns)

    with before_master_commits(monkeypatch), pytest.raises(CutoverError, match="killed"):
        world.archive(13)
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, 13)
    assert record.state is State.DELETING

    world.archive(13)
    same(expected, oracle.snapshot(world.dsns))
    world.restore(13)
    same(before, oracle.snapshot(world.dsns))


def test_the_shards_rows_are_put_back_when_master_changed_after_the_shard_was_emptied(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with before_master_commits(monkeypatch), pytest.raises(CutoverError, match="killed"):
        world.archive(13)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE classrooms SET name = 'changed' WHERE school_id = 13")
    emptied = oracle.snapshot(world.dsns)

    with pytest.raises(RefusedError, match=r"master\.classrooms .* its rows were put back from the archive"):
        world.archive(13)

    whole = oracle.snapshot(world.dsns)
    assert whole.tables["master"] == emptied.tables["master"]
    assert whole.count("shard_3", "enrollments") > emptied.count("shard_3", "enrollments")
    expected = oracle.expected_after_archive(world.dsns, 13, "all")
    world.archive(13)
    same(expected, oracle.snapshot(world.dsns))


def test_two_archives_at_once_leave_no_shared_row_behind(world: World) -> None:
    schools = school_ids(world)
    expected = oracle.expected_after_archiving(world.dsns, schools, "all")
    failures: list[BaseException] = []

    def work(mine: list[int]) -> None:
        try:
            world.archive(*mine)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(schools[part::3],)) for part in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    same(expected, oracle.snapshot(world.dsns))


def test_a_second_worker_is_told_which_run_has_the_school(world: World) -> None:
    with world.archiver("archive.school 13") as first:
        tenant = resolve.one_to_archive(first.databases, 13, YEAR)
        with (
            first.databases.tenant_lock(13, tenant.shard),
            pytest.raises(LockedError, match=r"archive\.school 13 by .*@.* pid \d+ is at work there since"),
        ):
            world.archive(13)


def test_a_run_over_all_and_a_single_one_exclude_each_other(world: World) -> None:
    with (
        world.archiver("archive.all") as first,
        first.databases.exclusive_lock(),
        pytest.raises(LockedError, match=r"archive\.all"),
    ):
        world.archive(13)


def damaged_objects(world: World, school: int, other: int) -> dict[str, bytes]:
    [path] = [key for key in keys(world) if f"/{school}/" in f"/{key}"]
    [foreign] = [key for key in keys(world) if f"/{other}/" in f"/{key}"]
    whole = read(world, path)
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    return {"truncated": whole[:-100], "altered": flipped, "another school's": read(world, foreign), "empty": b""}


def keys(world: World) -> list[str]:
    return list(Bucket(world.environment.store).keys())


def read(world: World, key: str) -> bytes:
    client = Bucket(world.environment.store)._client
    return client.get_object(Bucket=world.environment.store.bucket, Key=f"{world.environment.store.prefix}/{key}")[
        "Body"
    ].read()


@pytest.mark.parametrize("damage", ["truncated", "altered", "another school's", "empty"])
def test_a_damaged_tarball_is_refused_and_nothing_is_touched(world: World, damage: str) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM schools WHERE id <> 13 LIMIT 1")
        other = cursor.fetchall()[0][0]
    world.archive(13, other)
    [key] = [key for key in keys(world) if "/13/" in f"/{key}"]
    bad = damaged_objects(world, 13, other)[damage]
    store = world.environment.store
    Bucket(store)._client.put_object(Bucket=store.bucket, Key=f"{store.prefix}/{key}", Body=bad)
    before = oracle.snapshot(world.dsns)

    with pytest.raises(DamagedError, match="is not what was stored"):
        world.restore(13)

    same(before, oracle.snapshot(world.dsns))
    with world.archiver() as archiver:
        [record] = archive_record.of_tenant(archiver.databases.master, 13)
    assert record.state is State.ARCHIVED


def test_a_swapped_tarball_whose_record_was_changed_too_is_still_refused(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT id FROM schools WHERE id <> 13 LIMIT 1")
        other = cursor.fetchall()[0][0]
    world.archive(13, other)
    with sql(world, "master") as cursor:
        cursor.execute(
            "UPDATE archiver.archives r SET location = o.location, sha256 = o.sha256, size = o.size"
            " FROM archiver.archives o WHERE r.key = '13' AND o.key = %s::text",
            (other,),
        )

    with pytest.raises(DamagedError, match=f"is the archive of school {other}, year 2013, not of school 13"):
        world.restore(13)


def test_an_impossible_request_is_refused_before_anything_is_touched(world: World) -> None:
    before = oracle.snapshot(world.dsns)
    with pytest.raises(UsageError, match="There is no school 999999"):
        world.archive(999999)
    with pytest.raises(UsageError, match="School 13 is not archived"):
        world.restore(13)
    same(before, oracle.snapshot(world.dsns))

    world.archive(13)
    with pytest.raises(UsageError, match="School 13 is archived already for 2013"):
        world.archive(13)


def test_every_id_that_a_list_names_in_vain_is_refused_at_once(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT customer_id, array_agg(id) FROM schools WHERE id NOT IN (13, 17) GROUP BY 1 ORDER BY 1")
        [(customer, schools), (other, _), *_] = cursor.fetchall()
    world.archive(13)
    chosen = TenantFilter(
        exclude=Exclude(tenants=frozenset({999999, 17, *schools}), customers=frozenset({999999, other})),
        only=Include(
            tenants=dict.fromkeys((13, 17, 999998), "why"), customers=dict.fromkeys((customer, other, 999998), "why")
        ),
    )
    with world.archiver() as archiver:
        with pytest.raises(Problems) as refused:
            resolve.all_to_archive(archiver.databases, YEAR, chosen)
        of_this_night = unmatched(archiver.databases, YEAR, NIGHT, TenantFilter(only=Include(tenants={13: "why"})))

    assert list(refused.value.problems) == [
        "The exclusion names school 999999, which does not exist.",
        "The exclusion names customer 999999, which does not exist.",
        "The include list names school 13, which is archived already for 2013.",
        "The include list names school 17, which is excluded.",
        "The include list names school 999998, which does not exist.",
        f"The include list names customer {customer}, which has no school to archive.",
        f"The include list names customer {other}, which is excluded.",
        "The include list names customer 999998, which does not exist.",
    ]
    assert of_this_night == []


def test_the_audit_finds_schools_that_are_not_archived_and_leftover_rows(world: World) -> None:
    with world.archiver() as archiver, archiver.databases.exclusive_lock():
        chosen = resolve.all_to_archive(
            archiver.databases, YEAR, TenantFilter(exclude=Exclude(tenants=frozenset({13})))
        )
        archive(archiver, chosen, ArchiveRequest(year=YEAR, depth=DEFAULT_DEPTH, night=NIGHT), raise_failure)
        clean = audit.audit(
            archiver.databases, archiver.bucket, YEAR, NIGHT, TenantFilter(exclude=Exclude(tenants=frozenset({13})))
        )
        whole = audit.audit(archiver.databases, archiver.bucket, YEAR, NIGHT, TenantFilter())
        [gone, *_] = deleted_keys.of_table(archiver.databases.master, YEAR, "classrooms").items()
        with sql(world, "shard_1") as cursor:
            cursor.execute(
                "INSERT INTO enrollments (classroom_id, created_at, updated_at) VALUES (%s, now(), now())",
                (gone[1][0],),
            )
        dirty = audit.audit(
            archiver.databases, archiver.bucket, YEAR, NIGHT, TenantFilter(exclude=Exclude(tenants=frozenset({13})))
        )
        with sql(world, "master") as cursor:
            cursor.execute(
                "UPDATE archiver.archives SET state = 'restoring' WHERE kind = 'tenant' AND key = %s::text",
                (chosen[0].id,),
            )
        excluded = TenantFilter(exclude=Exclude(tenants=frozenset({13, chosen[0].id})))
        half_way = audit.audit(archiver.databases, archiver.bucket, YEAR, NIGHT, excluded)

    assert (clean.archived, clean.unarchived, clean.left, clean.excluded) == (len(chosen), (), {}, 1)
    assert whole.unarchived == (13,)
    assert dirty.left == {gone[0]: 1}
    assert half_way.unarchived == (chosen[0].id,)


def test_the_log_records_every_act_and_cannot_be_changed(world: World) -> None:
    world.archive(13, only=Include(tenants={13: "closed, OPS-511"}))
    with sql(world, "master") as cursor:
        cursor.execute("SELECT reason FROM archiver.archives WHERE kind = 'tenant'")
        assert cursor.fetchall() == [("closed, OPS-511",)]
    world.restore(13)
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT act, key::bigint, year, operator <> '', details ->> 'reason' FROM archiver.log ORDER BY id"
        )
        assert cursor.fetchall() == [
            ("archive", 13, YEAR, True, "closed, OPS-511"),
            ("restore", 13, YEAR, True, None),
        ]
        with pytest.raises(psycopg2.errors.RaiseException, match="append-only"):
            cursor.execute("DELETE FROM archiver.log")


def test_a_sequence_that_would_give_ids_out_twice_stops_a_restore(world: World) -> None:
    world.archive(13)
    with sql(world, "master") as cursor:
        cursor.execute("SELECT setval('schools_id_seq', 1)")

    with pytest.raises(RefusedError, match=r"schools_id_seq would give out 2 next, before the archived id 13"):
        world.restore(13)

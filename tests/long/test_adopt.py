"""The ledger mended from the store: master set back to yesterday, its ledger lost, and objects that lie."""

from __future__ import annotations

import itertools
import tarfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path

import pytest
from pyrage import x25519

from archiver.checks.unrecorded import Unrecorded, unrecorded
from archiver.format import bundle, encryption
from archiver.kinds import registry
from archiver.records import archive_record, audit_log, purge_record, slice_record
from archiver.records.archive_record import Record
from archiver.records.purge_record import Purge
from archiver.records.state import State
from archiver.runs import purge, reencrypt
from archiver.runs.adopt import Adopted, Verdict, adopter
from archiver.runs.adopt import adopt as adopt_all
from archiver.runs.setup import databases_of
from archiver.store.bucket import Bucket, file_digests
from errors import DamagedError, ExitCode, RefusedError, UsageError
from inventory.model import Fence
from rehearsal.postgres_server import Cluster
from runbooks.cli import call
from tests import oracle
from tests.adoptions import adopt, lose_the_ledger
from tests.inside import inv_inside
from tests.legacy_users import purged
from tests.months import archive_months, restore_months
from tests.torture.set_back_ways import HERE, OTHER, SCHOOL, THERE
from tests.worlds import YEAR, NewWorld, World, raise_failure, same, sql

MONTH, MONTHS_DAY = "2014-07", date(2014, 9, 5)
COUNTER = itertools.count(1)


@pytest.fixture
def world(new_world: NewWorld) -> Iterator[World]:
    """Master and one shard."""
    with new_world(("master", HERE)) as world:
        yield world


@pytest.fixture
def yesterday(cluster: Cluster, world: World) -> Callable[[], Callable[[], object]]:
    """Copy master; what is returned puts the copy in its place."""

    return partial(copied_master, cluster, world)


def copied_master(cluster: Cluster, world: World) -> Callable[[], object]:
    """Copy master; what is returned puts the copy in its place."""
    name = world.environment.master.connection["dbname"]
    backup = f"{name}_backup_{next(COUNTER)}"
    cluster.sql(f"CREATE DATABASE {backup} TEMPLATE {name} STRATEGY FILE_COPY OWNER apangea")
    swap = f"DROP DATABASE {name} WITH (FORCE);\nALTER DATABASE {backup} RENAME TO {name}"
    return partial(cluster.sql, swap)


def found(world: World) -> Unrecorded:
    with databases_of(world.environment, "test") as databases, databases.exclusive_lock():
        return unrecorded(Bucket(world.environment.store), databases)


def look(world: World, work: Path) -> list[Adopted]:
    """As `inv archive.adopt` does."""
    with databases_of(world.environment, "test") as databases, databases.exclusive_lock():
        bucket = Bucket(world.environment.store)
        keys = encryption.keys(world.environment.store.recipients, world.identity)
        resources = adopter(
            databases, bucket, keys, work, world.environment.zone, unrecorded(bucket, databases).objects
        )
        return adopt_all(resources, lambda adoption: None, lambda outcome: None)


def verdicts(outcomes: Sequence[Adopted]) -> list[Verdict]:
    return sorted((outcome.result() for outcome in outcomes), key=lambda verdict: verdict.subject)


def records(world: World) -> list[Record]:
    with world.archiver() as archiver:
        return sorted(archive_record.read_if_any(archiver.databases.master), key=lambda record: record.id)


def locations(world: World) -> list[str]:
    bucket = Bucket(world.environment.store)
    return sorted(each.location for each in bucket.objects(f"{YEAR}/"))


def copied(world: World, location: str, key: str) -> str:
    """Copy an object to another key; return its location."""
    bucket, store = Bucket(world.environment.store), world.environment.store
    source = f"{store.bucket}/{store.prefix}/{bucket.key(location)}"
    bucket._client.copy_object(Bucket=store.bucket, Key=f"{store.prefix}/{key}", CopySource=source)
    return bucket.location(key)


def encrypting(world: World, folder: Path) -> tuple[World, World]:
    """Return the world with a recipient: without the identity, and with it."""
    identity = x25519.Identity.generate()
    (folder / "team").write_text(str(identity))
    store = replace(world.environment.store, recipients=(str(identity.to_public()),))
    closed = replace(world, environment=replace(world.environment, store=store))
    return closed, replace(closed, identity=str(folder / "team"))


def months(world: World) -> list[tuple[object, ...]]:
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT a.id, a.key, year, before, shard, state, started_at, location, fingerprint, a.size, a.sha256, etag,"
            " m.key, m.start, m.size, m.sha256, m.rows, m.went, m.stayed FROM archiver.archives a"
            " JOIN archiver.members m ON (m.kind, m.archive_id) = (a.kind, a.id) ORDER BY a.id, m.key"
        )
        return cursor.fetchall()


def third_school(world: World) -> int:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT max(id) FROM schools WHERE shard = %s AND id NOT IN (%s, %s)", (HERE, SCHOOL, OTHER))
        [[number]] = cursor.fetchall()
        return int(number)


def test_a_master_of_yesterday_gets_every_archive_back_and_nothing_is_archived_twice(
    world: World, yesterday: Callable[[], Callable[[], object]], tmp_path: Path
) -> None:
    before, third = oracle.snapshot(world.dsns), third_school(world)
    world.archive(third)
    set_back = yesterday()
    world.archive(OTHER, depth="students")
    world.archive_together(SCHOOL)
    after, lost, objects = oracle.snapshot(world.dsns), records(world), locations(world)
    set_back()
    with pytest.raises(RefusedError, match="master has no record of"):
        world.archive(SCHOOL)
    half = oracle.snapshot(world.dsns)

    shown = verdicts(look(world, tmp_path))
    assert [each.id for each in records(world)] == [lost[0].id]
    assert verdicts(adopt(world)) == shown

    assert [(each.subject, each.state) for each in shown] == [
        (f"school {number} of {YEAR}", State.DELETING) for number in sorted((OTHER, SCHOOL))
    ]
    same(half, oracle.snapshot(world.dsns))
    facts = ("id", "tenant_id", "started_at", "location", "sha256", "etag", "members", "depth", "night", "shard")
    assert [[getattr(each, name) for name in facts] for each in records(world)] == [
        [getattr(each, name) for name in facts] for each in lost
    ]
    assert adopt(world) == []
    world.archive(OTHER, depth="students")
    world.archive(SCHOOL)
    same(after, oracle.snapshot(world.dsns))
    assert (locations(world), {each.state for each in records(world)}) == (objects, {State.ARCHIVED})
    world.restore(SCHOOL, OTHER, third)
    same(before, oracle.snapshot(world.dsns))


def test_a_ledger_that_is_lost_is_rebuilt_and_all_rows_come_back(world: World, tmp_path: Path) -> None:
    before = oracle.snapshot(world.dsns)
    world.archive(OTHER, depth="students")
    world.archive_together(SCHOOL)
    lost, after = records(world), oracle.snapshot(world.dsns)
    lose_the_ledger(world)

    assert {each.state for each in verdicts(look(world, tmp_path))} == {State.ARCHIVED}
    with sql(world, "master") as cursor:
        cursor.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'archiver'")
        assert cursor.fetchall() == [(0,)]  # a look makes no tables
    adopt(world)

    same(after, oracle.snapshot(world.dsns))
    for name in ("id", "tenant_id", "state", "location", "sha256", "members", "depth", "kept", "tenant_name"):
        assert [getattr(each, name) for each in records(world)] == [getattr(each, name) for each in lost], name
    assert adopt(world) == []
    world.archive(third := third_school(world))  # under a number that no marker knows
    world.restore(SCHOOL, OTHER, third)
    same(before, oracle.snapshot(world.dsns))
    assert [each.reason for each in verdicts(adopt(world))] == ["its rows were restored, or it was dropped"] * 3


@pytest.mark.parametrize("lost", ["yesterday", "ledger"])
def test_months_are_adopted_with_each_school_whose_rows_went(
    world: World, yesterday: Callable[[], Callable[[], object]], lost: str
) -> None:
    before = oracle.snapshot(world.dsns)
    with world.archiver():
        pass  # it makes the tables
    set_back = yesterday()
    archive_months(world, MONTHS_DAY)
    restore_months(world, MONTH, SCHOOL)
    after, recorded = oracle.snapshot(world.dsns), months(world)
    set_back() if lost == "yesterday" else lose_the_ledger(world)

    outcomes = adopt(world)

    assert {(each.subject, each.state) for each in verdicts(outcomes)} == {(f"month {MONTH} of {HERE}", State.ARCHIVED)}
    assert months(world) == recorded
    same(after, oracle.snapshot(world.dsns))
    assert adopt(world) == []
    restore_months(world, MONTH)
    same(before, oracle.snapshot(world.dsns))
    assert {each.reason for each in verdicts(adopt(world))} == {"no marker shows that rows are in it alone"}


def test_an_encrypted_month_is_adopted_with_its_identity_alone(world: World, tmp_path: Path) -> None:
    before, (closed, opening) = oracle.snapshot(world.dsns), encrypting(world, tmp_path)
    archive_months(closed, MONTHS_DAY)
    lose_the_ledger(world)

    [outcome] = adopt(closed)
    assert isinstance(outcome.error, UsageError)
    assert [each.state for each in verdicts(adopt(opening))] == [State.ARCHIVED]

    restore_months(opening, MONTH)
    same(before, oracle.snapshot(world.dsns))


def test_a_month_whose_slices_lie_is_named(world: World) -> None:
    archive_months(world, MONTHS_DAY)
    with sql(world, HERE) as cursor:
        cursor.execute(
            "UPDATE archiver.markers SET act = 'slice 99 went' WHERE act = (SELECT max(act) FROM archiver.markers)"
        )
    lose_the_ledger(world)

    errors = [str(outcome.error) for outcome in adopt(world) if outcome.error]

    assert len(errors) == 1
    assert "it has no slice of 99" in errors[0]


def test_an_encrypted_archive_is_adopted_with_its_identity_alone(world: World, tmp_path: Path) -> None:
    before, (closed, opening) = oracle.snapshot(world.dsns), encrypting(world, tmp_path)
    closed.archive(SCHOOL)
    lose_the_ledger(closed)

    [outcome] = adopt(closed)
    assert isinstance(outcome.error, UsageError)
    assert "is encrypted, and no identity was given" in str(outcome.error)
    assert records(closed) == []
    [verdict] = verdicts(adopt(opening))

    assert verdict.state is State.ARCHIVED
    opening.restore(SCHOOL)
    same(before, oracle.snapshot(world.dsns))


def test_objects_that_lie_or_cannot_be_read_are_named_and_the_others_are_adopted(world: World, tmp_path: Path) -> None:
    world.archive(SCHOOL)
    [record] = records(world)
    lose_the_ledger(world)
    name = f"{YEAR}_school_99.tar.gz"
    lying = copied(world, record.location, f"{YEAR}/99/20140101T000000-1f3a/{name}")
    cut, bucket = tmp_path / "cut", Bucket(world.environment.store)
    cut.write_bytes(b"no archive at all")
    bucket.put(f"{YEAR}/98/20140101T000000-1f3a/{YEAR}_school_98.tar.gz", cut, file_digests(cut))

    outcomes = {outcome.item.location: outcome for outcome in adopt(world)}

    damaged = [outcome for outcome in outcomes.values() if outcome.error]
    assert [type(outcome.error) for outcome in damaged] == [DamagedError, DamagedError]
    assert f"{lying}, manifest.json: it is of school {SCHOOL} of {YEAR}" in str(outcomes[lying].error)
    assert outcomes[lying].error.hint  # type: ignore[union-attr]
    assert outcomes[record.location].result().state is State.ARCHIVED
    assert [each.location for each in records(world)] == [record.location]


def test_of_two_objects_of_one_archive_that_is_adopted_which_the_shard_names(world: World) -> None:
    world.archive(SCHOOL)
    [record] = records(world)
    lose_the_ledger(world)
    folder, _, name = record.location.rsplit("/", 2)
    bucket = Bucket(world.environment.store)
    other = copied(world, record.location, f"{bucket.key(folder)}/20990101T000000-1f3a/{name}")

    by_location = {outcome.item.location: outcome.result() for outcome in adopt(world)}

    assert by_location[record.location].state is State.ARCHIVED
    assert by_location[other] == Verdict(subject=f"school {SCHOOL} of {YEAR}", reason=f"{record.location} holds them")


def test_two_objects_of_one_archive_that_no_marker_names_are_refused_with_both_names(world: World) -> None:
    world.archive(SCHOOL)
    [record] = records(world)
    lose_the_ledger(world)
    with sql(world, HERE) as cursor:
        cursor.execute("DELETE FROM archiver.markers")
    bucket = Bucket(world.environment.store)
    folder, _, name = record.location.rsplit("/", 2)
    other = copied(world, record.location, f"{bucket.key(folder)}/20990101T000000-1f3a/{name}")

    outcomes = adopt(world)

    for outcome in outcomes:
        assert isinstance(outcome.error, RefusedError)
        assert record.location in str(outcome.error)
        assert other in str(outcome.error)
    assert (len(outcomes), records(world)) == (2, [])
    bucket.delete(bucket.key(other))
    assert [each.state for each in verdicts(adopt(world))] == [State.ARCHIVED]


def test_a_school_that_is_partly_live_is_named_and_not_adopted(
    world: World, yesterday: Callable[[], Callable[[], object]]
) -> None:
    set_back = yesterday()
    world.archive(SCHOOL)
    set_back()
    with sql(world, HERE) as cursor:
        cursor.execute("DELETE FROM archiver.markers")

    [outcome] = adopt(world)

    assert isinstance(outcome.error, RefusedError)
    assert "partly live" in str(outcome.error)
    assert records(world) == []


def test_a_school_of_which_master_s_backup_lacks_rows_is_named_and_not_adopted(
    world: World, yesterday: Callable[[], Callable[[], object]]
) -> None:
    set_back = yesterday()
    world.archive(SCHOOL)
    set_back()
    with sql(world, "master") as cursor:
        cursor.execute("DELETE FROM school_assignments WHERE school_id = %s", (SCHOOL,))

    [outcome] = adopt(world)

    assert isinstance(outcome.error, RefusedError)
    assert "partly live" in str(outcome.error)
    assert records(world) == []


def test_a_school_that_is_live_needs_no_record_of_an_extraction_that_failed(world: World) -> None:
    world.archive(SCHOOL)
    world.restore(SCHOOL)
    with sql(world, HERE) as cursor:
        cursor.execute("DELETE FROM archiver.markers")
    lose_the_ledger(world)

    [verdict] = verdicts(adopt(world))

    assert (verdict.state, verdict.reason) == (None, "its rows are live")


def test_an_operator_sees_what_would_be_adopted_and_then_adopts_it(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(call, "load_environment", lambda *_, **__: world.environment)
    world.archive(SCHOOL)
    [record] = records(world)
    lose_the_ledger(world)

    for options, verb in (((), "would be adopted"), (("--accept",), "adopted")):
        said = inv_inside(capsys, "archive.adopt", "--here", *options)
        assert (said.code, said.err) == (0, ""), said
        out = " ".join(said.out.split())
        assert f"{record.location}: school {SCHOOL} of {YEAR}: {verb}, " in out
        assert f"1 of 1 object {verb}: " in out
    again = inv_inside(capsys, "archive.adopt", "--here", "--accept")
    assert (again.code, again.out) == (0, "Nothing to do: every archive in the store has its record.\n")
    with sql(world, "master") as cursor:
        cursor.execute("SELECT act FROM archiver.log")
        assert cursor.fetchall() == [("adopt",)]
    bucket = Bucket(world.environment.store)
    bucket.delete(bucket.key(record.location))
    lost = inv_inside(capsys, "archive.adopt", "--here")
    assert lost.code == ExitCode.FAILED
    assert f"NO OBJECT: tenant {SCHOOL} of {YEAR}, archived: {record.location}" in lost.out


def test_an_archive_of_another_kind_is_refused_by_its_manifest(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.archive(SCHOOL)
    lose_the_ledger(world)
    opened = bundle.Archive.__init__

    def of_districts(archive: bundle.Archive, tar: tarfile.TarFile, name: str) -> None:
        opened(archive, tar, name)
        archive.manifest = replace(archive.manifest, noun="district")

    monkeypatch.setattr(bundle.Archive, "__init__", of_districts)
    [outcome] = adopt(world)

    assert "manifest.json, noun: expected school, got 'district': an unknown kind. Nothing was changed." in str(
        outcome.error
    )
    assert records(world) == []


def test_an_archive_that_came_back_by_the_log_alone_is_not_adopted(world: World) -> None:
    world.archive(SCHOOL)
    world.restore(SCHOOL)
    with sql(world, HERE) as cursor:
        cursor.execute("DELETE FROM archiver.markers WHERE act = 'restored'")

    [verdict] = verdicts(adopt(world))

    assert (verdict.state, verdict.reason) == (None, "its rows were restored, or it was dropped")


def test_the_archive_of_a_move_is_named_only_if_master_lost_its_record(world: World) -> None:
    world.archive(SCHOOL)
    [record] = records(world)
    world.restore(SCHOOL)
    with sql(world, HERE) as cursor:
        cursor.execute("DELETE FROM archiver.markers WHERE act = 'restored'")
        cursor.execute("UPDATE archiver.markers SET act = 'moved in'")
    with sql(world, "master") as cursor:
        cursor.execute(
            "INSERT INTO archiver.archives (kind, key, year, shard, state, location, operator, host, verb, target)"
            " VALUES ('move', '13', %s, 'shard_1', 'moved', %s, 'ann', 'debug', 'merge', %s)",
            (YEAR, record.location, HERE),
        )

    assert found(world) == Unrecorded(objects=[], records=[])
    lose_the_ledger(world)
    [outcome] = adopt(world)
    assert isinstance(outcome.error, RefusedError)
    assert f"{record.location} is of a move, and its markers do not say the new ids" in str(outcome.error)


def test_a_record_whose_object_is_gone_is_named(world: World) -> None:
    world.archive(SCHOOL)
    [record] = records(world)
    bucket = Bucket(world.environment.store)
    bucket.delete(bucket.key(record.location))

    assert [each.location for each in found(world).records] == [record.location]


def reencrypt_all(world: World) -> list[str]:
    """Encrypt every archive to the world's recipients; return the earlier objects' locations."""
    with world.archiver() as archiver, archiver.databases.exclusive_lock():
        found = registry.openable(archiver.databases.master, None)
        outcomes = reencrypt.reencrypt(archiver, found, raise_failure)
    return [outcome.result().superseded for outcome in outcomes]


def delete_objects(world: World, locations: Sequence[str]) -> None:
    bucket = Bucket(world.environment.store)
    for location in locations:
        bucket.delete(bucket.key(location))


def archived_locations(world: World) -> set[str]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT location FROM archiver.archives WHERE state = 'archived'")
        return {row[0] for row in cursor.fetchall()}


def named_by_markers(world: World) -> set[str]:
    with sql(world, HERE) as cursor:
        cursor.execute("SELECT content ->> 'location' FROM archiver.markers")
        return {row[0] for row in cursor.fetchall()}


def test_after_a_reencryption_the_later_object_is_adopted_for_the_earlier_may_be_gone(
    world: World, tmp_path: Path
) -> None:
    before, (_, opening) = oracle.snapshot(world.dsns), encrypting(world, tmp_path)
    archive_months(world, MONTHS_DAY)
    world.archive(SCHOOL)
    earlier = reencrypt_all(opening)
    assert len(earlier) == 2
    assert named_by_markers(world) == archived_locations(world)
    delete_objects(world, earlier)
    later = archived_locations(world)
    lose_the_ledger(world)

    assert [each.state for each in verdicts(adopt(opening))] == [State.ARCHIVED] * 2

    assert archived_locations(world) == later
    opening.restore(SCHOOL)
    restore_months(opening, MONTH)
    same(before, oracle.snapshot(world.dsns))


def test_a_master_of_before_a_reencryption_names_the_earlier_objects_or_gets_the_later(
    world: World, yesterday: Callable[[], Callable[[], object]], tmp_path: Path
) -> None:
    before, (_, opening) = oracle.snapshot(world.dsns), encrypting(world, tmp_path)
    archive_months(world, MONTHS_DAY)
    world.archive(SCHOOL)
    set_back, earlier = yesterday(), archived_locations(world)
    reencrypt_all(opening)
    later = archived_locations(world)
    set_back()

    assert {each.reason for each in verdicts(adopt(opening))} == {f"{each} holds them" for each in earlier}
    assert archived_locations(world) == earlier
    delete_objects(world, [*earlier])
    assert {each.location for each in found(world).records} == earlier
    assert [each.state for each in verdicts(adopt(opening))] == [State.ARCHIVED] * 2

    assert (archived_locations(world), found(world)) == (later, Unrecorded(objects=[], records=[]))
    opening.restore(SCHOOL)
    restore_months(opening, MONTH)
    same(before, oracle.snapshot(world.dsns))


def test_a_master_of_before_a_drop_gets_the_months_that_were_written_anew(
    world: World, yesterday: Callable[[], Callable[[], object]]
) -> None:
    third = third_school(world)
    world.archive(SCHOOL)
    away = oracle.snapshot(world.dsns)
    world.restore(SCHOOL)
    with sql(world, "master") as cursor:
        cursor.execute("DELETE FROM archiver.held")
    archive_months(world, MONTHS_DAY)
    world.archive(SCHOOL)
    [dropped], set_back = records(world), yesterday()
    world.drop(SCHOOL)
    [later] = archived_locations(world)
    set_back()
    assert {each.location for each in found(world).records} == {*archived_locations(world)}

    adopted = [(each.subject, each.state) for each in verdicts(adopt(world)) if each.state]

    assert adopted == [(f"month {MONTH} of {HERE}", State.ARCHIVED)]
    assert archived_locations(world) == {later, dropped.location}
    assert [each.location for each in found(world).records] == [dropped.location]
    with world.archiver() as archiver:
        assert SCHOOL not in {each.tenant_id for each in slice_record.of_month(archiver.databases.master, MONTH)}
    world.archive(third)
    world.restore(third)
    restore_months(world, MONTH)
    same(away, oracle.snapshot(world.dsns))


def test_a_ledger_that_is_lost_after_a_drop_gets_the_months_that_were_written_anew(world: World) -> None:
    archive_months(world, MONTHS_DAY)
    world.archive(SCHOOL)
    [month] = archived_locations(world) - {each.location for each in records(world)}
    world.drop(SCHOOL)
    kept = months(world)
    lose_the_ledger(world)

    assert [each.state for each in verdicts(adopt(world))] == [State.ARCHIVED]

    assert months(world) == kept
    with world.archiver() as archiver:
        assert audit_log.closed_slices(archiver.databases.master, month) == {SCHOOL}


@pytest.mark.parametrize("turned", [False, True])
def test_a_drop_cut_off_before_its_end_leaves_the_earlier_object_with_all_slices(
    world: World, monkeypatch: pytest.MonkeyPatch, turned: bool
) -> None:
    archive_months(world, MONTHS_DAY)
    world.archive(SCHOOL)
    recorded = months(world)
    with monkeypatch.context() as patch, pytest.raises(RefusedError):
        patch.setattr(slice_record, "delete", refuse)
        world.drop(SCHOOL)
    lose_the_ledger(world)

    states = {(each.subject, each.state, each.reason) for each in verdicts(adopt(world, turned=turned))}

    [location] = {str(row[7]) for row in months(world)}
    assert states == {
        (f"school {SCHOOL} of {YEAR}", State.ARCHIVED, ""),
        (f"month {MONTH} of {HERE}", State.ARCHIVED, ""),
        (f"month {MONTH} of {HERE}", None, f"{location} holds them"),
    }
    assert months(world) == recorded


def refuse(*args: object) -> None:
    raise RefusedError("The drop ends here.")


def purge_users(world: World) -> int:
    """Purge every user who may be; return the purge's number."""
    with world.archiver() as archiver:
        return purged(archiver).purge.id


def restore_purge(world: World, number: int) -> None:
    with world.archiver() as archiver:
        purge.restore(archiver, number)


def purges(world: World) -> list[Purge]:
    with world.archiver() as archiver:
        return list(purge_record.every(archiver.databases.master))


def as_adopted(lost: Purge, now: Purge) -> Purge:
    """Return a lost record with what no archive says as it is now: times, and what it is encrypted to."""
    unsaid = ("started_at", "verified_at", "archived_at", "proved_at", "recipients")
    return replace(lost, **{name: getattr(now, name) for name in unsaid})


def late_row_keys(world: World) -> list[tuple[object, ...]]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT table_name, column_name, ids FROM archiver.shard_gone ORDER BY 1")
        return [(table, column, sorted(ids)) for table, column, ids in cursor.fetchall()]


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_purge_is_adopted_and_its_users_come_back(world: World, tmp_path: Path, *, encrypted: bool) -> None:
    before, (closed, opening) = oracle.snapshot(world.dsns), encrypting(world, tmp_path)
    world, opening = (closed, opening) if encrypted else (world, world)
    number = purge_users(world)
    [lost], keys, away = purges(world), late_row_keys(world), oracle.snapshot(world.dsns)
    lose_the_ledger(world)
    if encrypted:
        [outcome] = adopt(closed)
        assert "is encrypted, and no identity was given" in str(outcome.error)

    assert verdicts(adopt(opening)) == [Verdict(subject=f"purge {number} of {YEAR}", state=State.ARCHIVED)]

    [now] = purges(world)
    assert (now, late_row_keys(world)) == (as_adopted(lost, now), keys)
    same(away, oracle.snapshot(world.dsns))
    assert adopt(opening) == []
    restore_purge(opening, number)
    same(before, oracle.snapshot(world.dsns))
    assert purge_users(world) == number + 1


def test_a_purge_that_master_has_not_made_needs_no_record_and_of_two_of_the_same_users_neither_is_adopted(
    world: World, yesterday: Callable[[], Callable[[], object]]
) -> None:
    set_back = yesterday()
    purge_users(world)
    set_back()
    assert [each.reason for each in verdicts(adopt(world))] == ["its rows are live"]

    number = purge_users(world)
    [own] = purges(world)
    assert [each.reason for each in verdicts(adopt(world))] == [f"{own.location} holds them"]
    lose_the_ledger(world)

    errors = [str(outcome.error) for outcome in adopt(world)]
    assert all("both have the user" in each and own.location in each for each in errors)
    assert (len(errors), purges(world)) == (2, [])
    delete_objects(world, [each.location for each in found(world).objects if each.location != own.location])
    assert [(each.subject, each.state) for each in verdicts(adopt(world))] == [
        (f"purge {number} of {YEAR}", State.ARCHIVED)
    ]


def test_a_purge_of_an_older_version_or_of_users_who_are_partly_live_is_named(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(purge, "replace", lambda manifest, **_: manifest)
        purge_users(world)
    with sql(world, "master") as cursor:
        cursor.execute("SELECT ids FROM archiver.archives")
        [[[user, *_]]] = cursor.fetchall()
    lose_the_ledger(world)

    [outcome] = adopt(world)
    assert "manifest.json, before: missing, for an older version made it" in str(outcome.error)
    with sql(world, "master") as cursor:
        again = "jsonb_populate_record(u, jsonb_build_object('id', %s, 'email', 'again'))"
        cursor.execute(f"INSERT INTO users SELECT ({again}).* FROM users u LIMIT 1", (user,))
    [outcome] = adopt(world)
    assert "are partly live: 1 of " in str(outcome.error)
    assert purges(world) == []


@pytest.fixture
def two_shards(new_world: NewWorld, tmp_path: Path) -> Iterator[World]:
    """Master and two shards, of which one has this school alone."""
    with new_world(("master", HERE, THERE)) as bare:
        with sql(bare, "master") as cursor:
            cursor.execute("UPDATE schools SET shard = %s WHERE id <> %s", (THERE, SCHOOL))
        fence = Fence(close=f"touch {tmp_path}/{{id}}", open=f"rm -f {tmp_path}/{{id}}")
        yield replace(bare, environment=replace(bare.environment, fence=fence))


def moves(world: World) -> list[tuple[object, ...]]:
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT id, key, year, verb, shard, target, state, location, offsets, members, sha256, etag, started_at,"
            " turn FROM archiver.archives WHERE kind = 'move' ORDER BY id"
        )
        return cursor.fetchall()


def regions(world: World) -> list[tuple[object, ...]]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT source, target, above, upto, plus FROM archiver.regions ORDER BY 1, 3")
        return cursor.fetchall()


def test_moves_are_adopted_and_archives_from_before_them_follow(two_shards: World) -> None:
    world, before = two_shards, oracle.snapshot(two_shards.dsns)
    world.archive(SCHOOL, year=2012, depth="students")
    world.move_all("merge", HERE, THERE)
    world.move_all("split", THERE, HERE, only=[SCHOOL])
    away = oracle.snapshot(world.dsns)
    lost, places, turns = moves(world), regions(world), [each.turn for each in records(world)]
    lose_the_ledger(world)

    assert {(each.subject, each.state) for each in verdicts(adopt(world))} == {
        (f"move of school {SCHOOL} of {YEAR}", State.MOVED),
        (f"school {SCHOOL} of 2012", State.ARCHIVED),
    }

    assert (moves(world), regions(world), [each.turn for each in records(world)]) == (lost, places, turns)
    same(away, oracle.snapshot(world.dsns))
    assert adopt(world) == []
    world.restore(SCHOOL, year=2012)
    now = oracle.snapshot(world.dsns)
    same(before, replace(now, sequences=before.sequences))  # a move advances those of its target


def test_a_move_that_master_lost_is_adopted_and_ended_by_the_same_command(two_shards: World, cluster: Cluster) -> None:
    world, set_back = two_shards, copied_master(cluster, two_shards)
    world.move_all("merge", HERE, THERE)
    after, [lost] = oracle.snapshot(world.dsns), moves(world)
    set_back()
    with pytest.raises(RefusedError, match="shows a move of"):
        world.archive(SCHOOL)

    assert verdicts(adopt(world)) == [Verdict(subject=f"move of school {SCHOOL} of {YEAR}", state=State.LOADING)]
    assert adopt(world) == []
    world.move_all("merge", HERE, THERE)

    same(after, oracle.snapshot(world.dsns))
    [now] = moves(world)
    assert now[:-1] == lost[:-1]
    world.archive(SCHOOL)
    world.restore(SCHOOL)
    same(after, oracle.snapshot(world.dsns))


def test_a_move_that_master_has_only_planned_is_adopted_and_ended_by_the_same_command(two_shards: World) -> None:
    world = two_shards
    world.move_all("merge", HERE, THERE)
    after = oracle.snapshot(world.dsns)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET shard = %s WHERE id = %s", (HERE, SCHOOL))
        cursor.execute(
            "UPDATE archiver.archives SET state = 'planned', switched_at = NULL, turn = NULL, members = '{}',"
            " offsets = '[]' WHERE kind = 'move'"
        )
    with pytest.raises(RefusedError, match="shows a move of"):
        world.move_all("merge", HERE, THERE)

    assert verdicts(adopt(world)) == [Verdict(subject=f"move of school {SCHOOL} of {YEAR}", state=State.LOADING)]
    world.move_all("merge", HERE, THERE)

    same(after, oracle.snapshot(world.dsns))


def test_a_move_whose_markers_contradict_its_archive_or_whose_tenant_is_elsewhere_is_named(two_shards: World) -> None:
    world = two_shards
    world.move_all("merge", HERE, THERE)
    lose_the_ledger(world)

    def told(database: str, statement: str) -> str:
        with sql(world, database) as cursor:
            cursor.execute(statement)
        [outcome] = adopt(world)
        assert outcome.error
        assert "Nothing was changed." in str(outcome.error)
        return str(outcome.error)

    assert "and master names shard_4 for school 13" in told(
        "master", f"UPDATE schools SET shard = 'shard_4' WHERE id = {SCHOOL}"
    )
    for change, sentence in (
        (
            "jsonb_set(content, '{tenant}', '14')",
            f"it is of school {SCHOOL} on {HERE}, and {THERE}, {HERE} shows a move",
        ),
        ("content - 'offsets'", "do not say the new ids: an older version wrote them"),
    ):
        told(HERE, f"UPDATE archiver.markers SET content = {change}")
        assert sentence in told(THERE, f"UPDATE archiver.markers SET content = {change}")

"""An archive of any kind is verified, read, re-encrypted and dropped by its location, or refused as its kind says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from archiver.checks.unreferenced import unnamed_objects
from archiver.kinds import registry
from archiver.records import archives, audit_log, month_record
from archiver.records.archives import ArchiveRecord
from archiver.records.open_markers import open_markers
from archiver.records.state import Kind
from archiver.store.bucket import Bucket
from errors import CutoverError, ExitCode
from inventory.model import Fence
from runbooks.cli import call
from tests import oracle
from tests.inside import Said, inv_inside
from tests.integration.test_encryption import Team, encrypting
from tests.legacy_users import purged
from tests.months import archive_months
from tests.worlds import NewWorld, World, same, sql

SCHOOL, MOVED = 13, 5
DAY, MONTH = date(2014, 9, 5), "2014-07"
Inv = Callable[..., Said]
SENTENCES = {
    Kind.PURGE: "Dropping purge 1 of 2013 refused: its record is never deleted: it says which users went.",
    Kind.MOVE: f"Dropping move of school {MOVED} from shard_1 refused: its record says where the rows went",
}


@pytest.fixture(scope="module")
def world(new_world: NewWorld, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A world with an archive of each kind."""
    closed = tmp_path_factory.mktemp("closed")
    fence = Fence(close=f"touch {closed}/{{id}}", open=f"rm {closed}/{{id}}")
    with new_world() as bare, replace(bare, environment=replace(bare.environment, fence=fence)).by_one_worker() as busy:
        archive_months(busy, DAY)
        busy.archive(SCHOOL)
        with busy.archiver() as archiver:
            purged(archiver)
        busy.move_all("merge", "shard_1", "shard_2", only=[MOVED])
        yield busy


@pytest.fixture
def inv(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Inv:
    """`inv` on this machine where these are the databases."""
    monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: world.environment)
    return lambda *words: inv_inside(capsys, *words)


def first(world: World, kind: Kind) -> ArchiveRecord:
    with world.archiver() as archiver:
        return archives.of_kind(archiver.databases.master, kind)[0]


def label(record: ArchiveRecord) -> str:
    return registry.of_kind(record).label("school")


def entries(world: World) -> list[Any]:
    with world.archiver() as archiver:
        return [(each.act, each.tenant_id) for each in audit_log.entries(archiver.databases.master)]


def test_an_archive_of_each_kind_is_verified_and_read(world: World, inv: Inv) -> None:
    tables = {Kind.TENANT: "classrooms", Kind.PURGE: "users", Kind.MOVE: "enrollments"}
    for kind in Kind:
        record = first(world, kind)

        verified = inv("archive.verify", record.location, "--here")

        assert (verified.code, verified.err) == (0, "")
        assert f"{label(record)}: verified" in verified.out
        proved, before = first(world, kind).proved_at, entries(world)
        assert proved is not None
        assert proved > record.started_at
        if kind is Kind.MONTH:
            refused = inv("archive.cat", record.location, "hint_views")
            assert f"{record.location} holds several archives, and no table itself." in refused.err
            assert (refused.code, entries(world)) == (ExitCode.USAGE, before)
            continue
        rows = record.members[f"{'shard' if kind is Kind.MOVE else 'master'}/{tables[kind]}.copy"].rows
        query = inv("archive.query", record.location, f"SELECT count(*) AS rows FROM {tables[kind]}")
        assert query.out.split() == ["rows", str(rows)], query.err
        assert len(inv("archive.cat", record.location, tables[kind]).out.splitlines()) == rows > 0
        owner = 0 if kind is Kind.PURGE else record.key
        assert entries(world) == [*before, ("query", owner), ("cat", owner)]


@pytest.mark.parametrize("kind", SENTENCES)
def test_what_is_not_dropped_says_why_and_stays(world: World, inv: Inv, kind: Kind) -> None:
    record, before = first(world, kind), oracle.snapshot(world.dsns)

    said = inv("archive.drop-archive", record.location, "--here", "--tarball=x")

    assert SENTENCES[kind] in said.err
    assert first(world, kind) == record
    same(before, oracle.snapshot(world.dsns))
    with world.archiver() as archiver, pytest.raises(CutoverError, match="refused"):
        registry.of_kind(record).kind.drop(archiver, record, ())


def test_a_location_that_is_none_or_has_nothing_is_refused(world: World, inv: Inv) -> None:
    record, tenant = first(world, Kind.MOVE), first(world, Kind.TENANT)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE archiver.archives SET sha256 = NULL WHERE location = %s", (record.location,))
        cursor.execute("UPDATE archiver.archives SET state = 'extracting' WHERE kind = 'tenant'")
    for words, sentence in (
        (("archive.cat", "s3://nowhere/13", "students"), "No record names s3://nowhere/13."),
        (("archive.cat", record.location, "students"), f"{record.location} is moved: nothing is stored there yet."),
        (("archive.cat", tenant.location, "students"), f"School {SCHOOL} is not archived for 2013."),
    ):
        said = inv(*words)
        assert sentence in said.err
        assert said.code == ExitCode.USAGE
    with sql(world, "master") as cursor:
        query = "UPDATE archiver.archives SET sha256 = %s WHERE location = %s"
        cursor.execute(query, (record.sha256, record.location))
        cursor.execute("UPDATE archiver.archives SET state = 'archived' WHERE kind = 'tenant'")


def test_an_unknown_kind_is_refused_in_a_sentence(world: World, inv: Inv) -> None:
    record = first(world, Kind.PURGE)
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE archiver.archives SET kind = 'decade' WHERE kind = 'purge'")

    for words in (("archive.verify", "--all"), ("archive.verify", record.location), ("archive.reencrypt", "--all")):
        said = inv(*words, "--here")
        assert "kind: expected one of tenant, month, purge, move, got 'decade'" in said.err, words
        assert said.code != 0
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE archiver.archives SET kind = 'purge' WHERE kind = 'decade'")


def test_an_archive_of_each_kind_is_reencrypted_while_its_rows_are_away(
    world: World, inv: Inv, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = encrypting(world, Team(tmp_path, "team")).environment
    monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: environment)
    for kind in Kind:
        record = first(world, kind)

        said = inv("archive.reencrypt", record.location, "--here")

        if kind is Kind.MOVE:
            assert f"Re-encrypting {label(record)} refused: it is moved, and its rows are live." in said.err + said.out
            assert first(world, kind) == record
            continue
        assert (said.code, said.err) == (0, "")
        assert f"{label(record)}: re-encrypted" in said.out
        assert first(world, kind).location != record.location
        assert first(world, kind).recipients == environment.store.recipients


def test_a_drop_of_a_month_that_was_cut_off_is_finished_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = first(world, Kind.MONTH)

    def cut_off(*_: object) -> None:
        raise CutoverError("killed")

    with world.archiver() as archiver:
        archive = registry.of_kind(record)
        with monkeypatch.context() as patch:
            patch.setattr(audit_log, "log_all", cut_off)
            with pytest.raises(CutoverError, match="killed"):
                archive.kind.drop(archiver, record, ())
        assert first(world, Kind.MONTH) == record

        archive.kind.drop(archiver, record, ())

        assert record.id not in {each.id for each in month_record.every(archiver.databases.master)}


def test_a_month_is_dropped_with_every_slice_and_what_was_dropped_stays_settled(world: World, inv: Inv) -> None:
    with world.archiver() as archiver:
        dropped = month_record.every(archiver.databases.master)[0]
    before = oracle.snapshot(world.dsns)

    named = inv("archive.drop-archive", dropped.location, "--here", "--tarball=2013_school_13.tar.gz")
    assert f"expected the tarball's name, {MONTH}_{dropped.shard}.tar, got '2013_school_13.tar.gz'" in named.err
    extra = inv("archive.drop-archive", dropped.location, "--here", "--without-month=2014-07", "--tarball=x")
    assert "these months do not come with it" in extra.err
    said = inv("archive.drop-archive", dropped.location, "--here", f"--tarball={MONTH}_{dropped.shard}.tar")

    assert (said.code, said.err) == (0, "")
    assert f"activity of {MONTH}, {dropped.shard}: {dropped.location} and its record are deleted" in said.out
    same(before, oracle.snapshot(world.dsns))
    bucket = Bucket(world.environment.store)
    assert bucket.key(dropped.location) not in set(bucket.keys())
    gone = inv("archive.verify", dropped.location, "--here")
    assert f"No record names {dropped.location}." in gone.err
    assert gone.code == ExitCode.USAGE
    with world.archiver() as archiver:
        master, databases = archiver.databases.master, archiver.databases
        assert dropped.id not in {each.id for each in month_record.every(master)}
        assert {act for act, _ in entries(world)} >= {"drop activity"}
        assert audit_log.closed_slices(master, dropped.location)
        assert not open_markers(master, {name: databases.session(name) for name in databases.shards})
        assert dropped.location not in {each.location for each in unnamed_objects(archiver.bucket, databases)}
    listed = inv("archive.drop-archive", str(SCHOOL), "--here", "--tarball=x").out
    assert dropped.location not in listed

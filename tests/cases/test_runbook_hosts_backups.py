"""Backups of a server with tablespaces, and proofs that prove nothing: of an empty file, or of a day to come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from errors import CutoverError
from inventory.model import Backups, Store, Way
from platforms.backup import take
from rehearsal import postgres_programs, postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from runbooks.engine.model.actions import ProbeOutput, SqlQuery
from runbooks.engine.model.preconditions import Precondition
from runbooks.engine.model.probe_output import Unreadable
from runbooks.engine.model.step import Truth
from runbooks.night.live_ports import Databases
from tests.fakes import EVENING, night_plan, rehearsal
from tests.unit.test_proofs import SHA, at, check_of, facts, judged, printed

NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # the SHA-256 of no byte at all
MAINTENANCE, VACUUM = ("maintenance.on", "control"), ("vacuum.full", "db-master")
TO_COME = (datetime(2099, 1, 1, tzinfo=UTC), EVENING + timedelta(hours=3))  # it is two hours after EVENING
TABLESPACE = "beside"


def backup(sha256: str, finished: datetime) -> ProbeOutput:
    """Return a server's report of its newest backup."""
    return printed({"path": "/b", "finished_at": at(finished), "sha256": sha256, "verified": True})


def stored(sha256: str) -> ProbeOutput:
    """Return its report of the stored copy."""
    return printed({"location": "s3://b/copy", "sha256": sha256})


def test_an_empty_backup_proves_nothing() -> None:
    taken = judged(check_of("backups.dump"), backup(NOTHING, EVENING), known=facts(MAINTENANCE))
    sent = judged(check_of("backups.transfer"), stored(NOTHING), backup(NOTHING, EVENING))
    assert not (taken.holds and sent.holds)


@pytest.mark.parametrize("finished", TO_COME)
def test_a_backup_dated_in_the_future_proves_nothing(finished: datetime) -> None:
    assert not judged(check_of("backups.dump"), backup(SHA, finished), known=facts(MAINTENANCE)).holds


@pytest.mark.parametrize("finished", TO_COME)
def test_a_snapshot_dated_in_the_future_proves_nothing(finished: datetime) -> None:
    snapshot = printed({"id": "snap-1", "state": "completed", "finished_at": at(finished)})
    assert not judged(check_of("snapshots.create"), snapshot, known=facts(VACUUM)).holds


def test_a_backup_of_a_moment_ago_proves_itself() -> None:
    """Proves that the outputs above are wrong in one thing only; clocks may be half a minute apart."""
    for finished in (EVENING, EVENING + timedelta(hours=2, seconds=29)):
        assert judged(check_of("backups.dump"), backup(SHA, finished), known=facts(MAINTENANCE)).holds
    assert judged(check_of("backups.transfer"), stored(SHA), backup(SHA, EVENING)).holds


@pytest.fixture
def spread(servers_home: Path) -> Iterator[Cluster]:
    """A server that keeps a table in a folder of its own."""
    with reserved(1) as reservation:
        cluster = Cluster(
            programs=postgres_programs.find(servers_home, {}),
            name="spread",
            folder=servers_home / "spread",
            port=reservation.ports[0],
            passfile=servers_home / "passfile of spread",
        )
        postgres_server.write_passfile(cluster.passfile, "*", "of spread")
        postgres_server.create(cluster, password="of spread", settings={"fsync": "off"})
        postgres_server.start(cluster)
    folder = cluster.folder.with_name("a tablespace")
    cluster.programs.make_folder(folder)
    cluster.sql(f"CREATE TABLESPACE {TABLESPACE} LOCATION '{folder}'")
    cluster.sql(f"CREATE TABLE rows TABLESPACE {TABLESPACE} AS SELECT generate_series(1, 1000)")
    yield cluster
    postgres_server.remove(cluster)


def test_a_server_with_tablespaces_is_backed_up_or_named_before_the_night(
    spread: Cluster, store_server: Store, tmp_path: Path
) -> None:
    """The backup holds the table's file beside the others, or preflight's questions find the tablespace."""
    backups = Backups(way=Way.BASE, store=store_server, programs=str(spread.programs.bin))
    environment = replace(rehearsal(), backups=backups)
    master = replace(environment.master, connection=spread.connection(), backup_directory=str(tmp_path))
    environment = replace(environment, databases={**environment.databases, "master": master})
    (file,) = spread.sql("SELECT pg_relation_filepath('rows')").split()
    try:
        taken = take(backups, master, print)
    except CutoverError:
        asked = [each for subject in night_plan(environment).preflight for each in subject.preconditions]
        found = [answered(each, Databases({"master": master})) for each in asked if asks_master_alone(each)]
        assert any(TABLESPACE in said for said in found)
    else:
        assert Path(file).name in {Path(each.path).name for each in taken.files}


def asks_master_alone(precondition: Precondition) -> bool:
    looks = precondition.check.looks
    return bool(looks) and all(isinstance(look, SqlQuery) and look.database == "master" for look in looks)


def answered(precondition: Precondition, databases: Databases) -> str:
    """Return preflight's problem or warning; empty if there is neither."""
    looks = [look for look in precondition.check.looks if isinstance(look, SqlQuery)]
    try:
        verdict = precondition.check.judge(tuple(databases.query(look) for look in looks), facts())
    except Unreadable as error:
        return str(error)
    return "" if verdict.truth is Truth.HOLDS else verdict.proof

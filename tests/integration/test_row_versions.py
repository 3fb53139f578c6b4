"""Row versions are trusted on the server process that gave the snapshot, and on no other: elsewhere content decides."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace

import psycopg2
import pytest

from archiver.postgres.row_versions import oldest_trusted, snapshot_text, trusted
from archiver.postgres.session import Session, connect
from rehearsal import postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from rehearsal.waiting import await_condition
from tests.cases.attack_servers import younger
from tests.conftest import PASSWORD, ROLE


@contextmanager
def session_on(cluster: Cluster, user: str = ROLE) -> Iterator[Session]:
    """A session of the archiver's role."""
    with closing(connect(cluster.connection(dbname="postgres", user=user), name="test")) as session:
        yield session


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Cluster]:
    """A server of its own, which may crash."""
    with younger(cluster) as server:
        yield server


def taken(server: Cluster) -> str:
    """A snapshot of now."""
    with session_on(server) as session:
        return snapshot_text(session)


def is_trusted(server: Cluster, *snapshots: str) -> bool:
    """True if row versions count on the server."""
    with session_on(server) as session:
        return oldest_trusted(session, snapshots) is not None


def test_the_oldest_of_a_server_process_s_snapshots_is_trusted(server: Cluster) -> None:
    first = taken(server)
    server.sql("SELECT pg_current_xact_id()")
    second = taken(server)

    with session_on(server) as session:
        assert oldest_trusted(session, [second, first, second]) == first.split(" ")[0]
        assert trusted({"master": session, "shard": session}, {"master": second}) == {"master": second.split(" ")[0]}


def test_no_snapshot_and_one_that_names_no_server_process_are_not_trusted(server: Cluster) -> None:
    snapshot = taken(server)

    assert is_trusted(server, snapshot)
    assert not is_trusted(server)
    assert not is_trusted(server, "")
    assert not is_trusted(server, snapshot.split(" ")[0])  # as versions before wrote it
    assert not is_trusted(server, snapshot, snapshot.split(" ")[0])


def test_a_snapshot_that_the_server_has_not_reached_is_not_trusted(server: Cluster) -> None:
    number, process = taken(server).split(" ")

    assert not is_trusted(server, f"{int(number) + 1000} {process}")


def test_a_server_that_was_restarted_is_not_trusted(server: Cluster) -> None:
    snapshot = taken(server)
    postgres_server.stop(server)
    postgres_server.start(server)

    assert not is_trusted(server, snapshot)


def copied(server: Cluster) -> Cluster:
    """A base backup of the server, started beside it."""
    passfile = server.folder.with_name("passfile of servers")
    postgres_server.write_passfile(passfile, "*", PASSWORD, owner=server.programs.owner)
    with reserved(1) as reservation:
        copy = replace(server, name="copy", folder=server.folder.with_name("copy"), port=reservation.ports[0])
        postgres_server.clone(replace(server, passfile=passfile), copy)
    copy.sql("SELECT pg_promote()")
    return copy


def test_a_base_backup_started_in_the_server_s_place_is_not_trusted(server: Cluster) -> None:
    """It has the system identifier and the timeline of the server that it came from."""
    snapshot, copy = taken(server), copied(server)
    try:
        identifier = "SELECT system_identifier FROM pg_control_system()"
        assert copy.sql(identifier) == server.sql(identifier)

        assert not is_trusted(copy, snapshot)
        assert is_trusted(server, snapshot)
    finally:
        postgres_server.remove(copy)


def test_a_server_that_went_through_a_crash_is_not_trusted_though_it_was_not_restarted(server: Cluster) -> None:
    snapshot, started = taken(server), server.sql("SELECT pg_postmaster_start_time()")
    with closing(psycopg2.connect(server.dsn())) as link:
        os.kill(link.info.backend_pid, signal.SIGKILL)
    await_condition(lambda: "reinitializing" in server.log.read_text(), doing="crashing", seconds=30)
    await_condition(lambda: _answers(server), doing="starting again", seconds=30)

    assert server.sql("SELECT pg_postmaster_start_time()") == started
    assert not is_trusted(server, snapshot)


def _answers(server: Cluster) -> bool:
    try:
        psycopg2.connect(server.dsn()).close()
    except psycopg2.OperationalError:
        return False
    return True


def test_a_role_that_may_not_read_the_system_identifier_trusts_nothing(server: Cluster) -> None:
    server.sql("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC")
    try:
        snapshot = taken(server)

        assert snapshot.isdigit()
        assert not is_trusted(server, snapshot)
    finally:
        server.sql("GRANT EXECUTE ON FUNCTION pg_control_system() TO PUBLIC")

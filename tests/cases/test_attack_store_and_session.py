"""Servers that are not what the tool takes them for: stores without conditions, poolers, subscribers, odd sessions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from psycopg2.extras import LogicalReplicationConnection

from archiver.records import archive_record
from archiver.store.bucket import _client
from errors import CutoverError, LockedError
from rehearsal import postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from rehearsal.waiting import await_condition
from runbooks.engine.model.actions import SqlQuery
from runbooks.engine.model.history import Facts, History
from runbooks.night.live_ports import Databases
from runbooks.preflight import services
from tests.cases.attack2_pooler import pooled
from tests.conftest import PASSWORD
from tests.fakes import FakeNight, FakeObjectStore, night_plan, rehearsal
from tests.worlds import World, school_ids, sql

SCHOOL = 13


class Forgetful(FakeObjectStore):
    """A store that knows no If-None-Match: what is put stands there, whatever stood there before."""

    def put_new(self, name: str, text: str) -> bool:
        self.texts[name] = text
        return True


def test_preflight_reports_a_store_that_overwrites() -> None:
    fake_night = FakeNight()
    fake_night.object_store = Forgetful()
    [precondition] = services.store().preconditions

    verdict = fake_night.executor.look(precondition.check, fake_night.context.facts(), expected=True)

    assert not verdict.holds


def test_preflight_is_content_with_a_store_that_does_not() -> None:
    fake_night = FakeNight()
    [precondition] = services.store().preconditions

    assert fake_night.executor.look(precondition.check, fake_night.context.facts(), expected=True).holds


@contextmanager
def overwriting(world: World) -> Iterator[None]:
    """Take the condition off every request to the world's store, as if the store did not know it."""

    def strip(request: Any, **_: object) -> None:
        if "If-None-Match" in request.headers:
            del request.headers["If-None-Match"]

    store = world.environment.store
    events = _client(store.endpoint, store.region, store.credentials).meta.events
    events.register_first("before-sign.s3.PutObject", strip)
    try:
        yield
    finally:
        events.unregister("before-sign.s3.PutObject", strip)


def test_a_run_deletes_nothing_while_its_store_overwrites(world: World) -> None:
    with overwriting(world), pytest.raises(CutoverError):
        replace(world, tried=None).archive(SCHOOL)

    assert SCHOOL in school_ids(world)


def run_twice(world: World, patch: pytest.MonkeyPatch) -> None:
    """Archive a school, and have another run take it when the first is about to delete it."""
    deleting = archive_record.deleting

    with world.archiver() as one, world.archiver() as two, ExitStack() as held:

        def taken(*args: Any) -> Any:
            held.enter_context(two.databases.tenant_lock(SCHOOL, "shard_3"))
            return deleting(*args)

        patch.setattr(archive_record, "deleting", taken)
        replace(world, worker=one).archive(SCHOOL)


def test_two_runs_through_a_pooler_never_delete_what_the_other_has_locked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pooler is our own: it lends servers by transactions as pgbouncer does, which is no package of Python's."""
    with pytest.raises(CutoverError), pooled(world) as behind:
        run_twice(behind, monkeypatch)

    assert SCHOOL in school_ids(world)


def test_the_second_of_two_runs_without_a_pooler_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LockedError):
        run_twice(world, monkeypatch)

    assert SCHOOL in school_ids(world)


@pytest.fixture(scope="module")
def publishing(cluster: Cluster, servers_home: Path) -> Iterator[Cluster]:
    """A server of its own with a subscriber and no standby: only one of wal_level = logical has any."""
    with reserved(1) as reservation:
        other = replace(cluster, name="publishing", folder=servers_home / "publishing", port=reservation.ports[0])
        postgres_server.create(other, password=PASSWORD, settings={"wal_level": "logical", "autovacuum": "off"})
        postgres_server.start(other)
    other.sql("CREATE TABLE t (id int); CREATE PUBLICATION p FOR TABLE t")
    link = psycopg2.connect(other.dsn(), connection_factory=LogicalReplicationConnection)
    with closing(link), link.cursor() as cursor:
        cursor.create_replication_slot("warehouse", output_plugin="pgoutput")
        cursor.start_replication("warehouse", options={"proto_version": "1", "publication_names": "p"})
        here = int(other.sql("SELECT pg_current_wal_lsn() - '0/0'").split(".")[0])

        def heard() -> bool:
            cursor.read_message()
            cursor.send_feedback(here, here, here, force=True)  # type: ignore[no-untyped-call]
            return other.sql("SELECT state, replay_lsn IS NULL FROM pg_stat_replication") == "streaming|f"

        await_condition(heard, doing="Waiting for the subscriber", seconds=30)
        yield other
    postgres_server.stop(other, "immediate")


def test_a_subscriber_is_no_standby(publishing: Cluster) -> None:
    written = rehearsal()
    databases = {name: replace(each, connection=publishing.connection()) for name, each in written.databases.items()}
    check = night_plan(replace(written, databases=databases)).step("replicas.activate").tasks[0].checks[0]

    outputs = [Databases(databases).query(look) for look in check.looks if isinstance(look, SqlQuery)]
    verdict = check.judge(tuple(outputs), Facts(now=datetime.now(UTC), history=History()))

    assert not verdict.holds, verdict.proof


def test_a_restore_leaves_no_foreign_key_that_leads_nowhere(world: World, cluster: Cluster) -> None:
    world.archive(SCHOOL)
    with sql(world, "master") as cursor:
        cursor.execute("SELECT current_database(), current_user")
        [[name, role]] = cursor.fetchall()
    cluster.sql(f"ALTER ROLE {role} IN DATABASE {name} SET session_replication_role = replica")
    with sql(world, "master") as cursor:
        cursor.execute("DELETE FROM districts")

    with suppress(CutoverError):
        world.restore(SCHOOL)

    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT s.id FROM schools s WHERE s.district_id IS NOT NULL AND s.id = %s"
            " AND NOT EXISTS (SELECT FROM districts d WHERE d.id = s.district_id)",
            (SCHOOL,),
        )
        assert cursor.fetchall() == []


def test_nothing_is_deleted_in_a_session_that_checks_no_foreign_key(world: World, cluster: Cluster) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT current_database(), current_user")
        [[name, role]] = cursor.fetchall()
    cluster.sql(f"ALTER ROLE {role} IN DATABASE {name} SET session_replication_role = replica")

    with pytest.raises(CutoverError, match="session_replication_role"):
        world.archive(SCHOOL)

    assert SCHOOL in school_ids(world)

"""A session is proved to be the run's own before anything is deleted; through a pooler it only looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from archiver.postgres.locks import AdvisoryLock, at_work, held_locks
from archiver.postgres.session import DatabaseError, Session, connect
from archiver.runs import purge
from archiver.runs.purge_candidates import legacy_users
from errors import CutoverError, LockedError, RefusedError
from inventory.model import Database, Fence, Pooler
from rehearsal import postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from runbooks.engine.model.actions import SqlQuery
from runbooks.engine.model.history import Facts, History
from runbooks.night.live_ports import Databases
from runbooks.preflight.servers import right_server, sees_others
from tests import oracle
from tests.cases.attack2_pooler import pooled
from tests.cases.pooler import pooled as pooled_in_process
from tests.cases.runbook_pooler import before
from tests.conftest import PASSWORD, ROLE
from tests.months import archive_months
from tests.oracle import Snapshot
from tests.worlds import DATABASES, NewWorld, World, same, sql

SCHOOL, DAY = 13, date(2014, 9, 5)


def purged(world: World) -> None:
    with world.archiver() as archiver, archiver.databases.exclusive_lock():
        before = datetime(2013, 8, 15, tzinfo=UTC)
        ids = [user.id for user in legacy_users(archiver.databases, before)]
        purge.purge(archiver, purge.group_of(archiver.databases, ids), before, 2013)


ACTS: Mapping[str, Callable[[World], object]] = {
    "a school": lambda world: world.archive(SCHOOL),
    "a set": lambda world: world.archive_together(SCHOOL, 5),
    "a month": lambda world: archive_months(world, DAY),
    "a move": lambda world: world.move_all("merge", "shard_3", "shard_4"),
    "a purge": purged,
}
LOSSES = {
    "a lock": "SELECT pg_advisory_unlock_all()",
    "the token": "SET cutover.session TO 'another run'",
}


@contextmanager
def losing(patch: pytest.MonkeyPatch, loss: str) -> Iterator[list[str]]:
    """Let every session lose something just before it commits a change of the product's rows."""
    commit, lost = Session.commit, list[str]()

    def commit_after_loss(self: Session, *, doing: str) -> None:
        if doing.startswith(("deleting", "moving")):
            self.rows(f"SELECT 1; {loss}" if loss.startswith("SELECT") else f"{loss}; SELECT 1")
            lost.append(doing)
        commit(self, doing=doing)

    with patch.context() as inner:
        inner.setattr(Session, "commit", commit_after_loss)
        yield lost


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_nothing_is_deleted_in_a_session_that_is_no_longer_the_runs_own(
    new_world: NewWorld, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, act: Callable[[World], object], loss: str
) -> None:
    with new_world(DATABASES) as world:
        world = fenced(world, tmp_path)
        before = oracle.snapshot(world.dsns)
        with losing(monkeypatch, loss) as lost, pytest.raises(CutoverError, match="is not this run's own"):
            act(world)
        assert lost
        same(before, rows_of(world, before))


def rows_of(world: World, before: Snapshot) -> Snapshot:
    """Return the rows there are now; a move reserves numbers beforehand, so sequences count as they were."""
    return replace(oracle.snapshot(world.dsns), sequences=before.sequences)


def fenced(world: World, folder: Path) -> World:
    fence = Fence(close=f"touch {folder}/{{id}}", open=f"rm -f {folder}/{{id}}")
    return replace(world, environment=replace(world.environment, fence=fence))


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_nothing_is_deleted_through_a_pooler_that_hands_the_servers_number_on(
    new_world: NewWorld, tmp_path: Path, act: Callable[[World], object]
) -> None:
    """Its clients' sessions look like the server's own, until another client comes in between."""
    with new_world(DATABASES) as world:
        world = fenced(world, tmp_path)
        before = oracle.snapshot(world.dsns)
        names = [str(database.connection["dbname"]) for database in world.environment.databases.values()]
        with pooled_in_process(*names), pytest.raises(CutoverError, match="is not this run's own"):
            act(world)
        same(before, rows_of(world, before))
        for name in world.dsns:
            with sql(world, name) as cursor:
                cursor.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'")
                assert cursor.fetchall() == [(0,)]


def test_what_looks_through_such_a_pooler_succeeds(world: World) -> None:
    with pooled(world) as behind, closing(connect(master(behind).connection, name="test")) as session:
        assert session.row("SELECT count(*) > 0 FROM public.schools") == (True,)


def master(world: World) -> Database:
    return world.environment.databases["master"]


@pytest.fixture
def own(cluster: Cluster) -> Mapping[str, str]:
    return cluster.connection(dbname="postgres", user=ROLE)


def test_through_a_pooler_every_change_is_refused_in_a_sentence(cluster: Cluster, own: Mapping[str, str]) -> None:
    changes: list[Callable[[Session], object]] = [
        lambda session: session.execute("CREATE TABLE public.left_behind (id integer)"),
        lambda session: held_locks([AdvisoryLock(session, "a key")]).__enter__(),
        lambda session: session.transaction().__enter__(),
    ]
    for change in changes:
        with before(cluster.port) as pooler:
            session = connect({**own, "port": str(pooler.port)}, name="test")
            with closing(session), pytest.raises(RefusedError, match="a connection pooler stands between") as caught:
                change(session)
            assert "pooler: session" in caught.value.hint
        assert {str(found) for found in pooler.found} == {str(pooler.found[0])}


def test_a_session_that_looks_reads_values_as_every_other(cluster: Cluster, own: Mapping[str, str]) -> None:
    query = "SELECT 0.1::float8 / 3 || '', '{a,NULL}'::text[]::text, now() || '', '\\x00'::bytea::text"
    with before(cluster.port) as pooler, closing(connect(own, name="test")) as direct:
        session = connect({**own, "port": str(pooler.port)}, name="test")
        with closing(session):
            fixed = query.replace("now()", "'2014-08-15 21:00+00'::timestamptz")
            assert session.row(fixed) == direct.row(fixed)
            with session.rolled_back("REPEATABLE READ READ ONLY"):
                assert session.row(fixed) == direct.row(fixed)


def test_a_pooler_that_keeps_sessions_gets_its_connection_back_as_it_was(
    cluster: Cluster, own: Mapping[str, str]
) -> None:
    with before(cluster.port) as pooler:
        session = connect({**own, "port": str(pooler.port)}, name="test", pooler=Pooler.SESSION)
        with held_locks([AdvisoryLock(session, "a key")]), session.transaction():
            assert session.row("SHOW search_path") == ("pg_catalog",)
        session.close()
    assert pooler.found[-1] == pooler.found[0]
    assert any(found != pooler.found[0] for found in pooler.found), "it pinned nothing"


def test_another_process_takes_no_lock(own: Mapping[str, str]) -> None:
    with closing(connect(own, name="test")) as session, closing(connect(own, name="other")) as other:
        session._link, other._link = other._link, session._link
        with pytest.raises(DatabaseError, match="another server process answers"):
            session.ownership.take("a key", "pg_try_advisory_lock")
        assert session.row("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == (0,)


def test_preflight_says_that_a_pooler_stands_before_a_database(cluster: Cluster, own: Mapping[str, str]) -> None:
    with before(cluster.port) as pooler:
        database = Database(name="master", host="db-master", connection={**own, "port": str(pooler.port)})
        [look] = right_server(database).looks
        assert isinstance(look, SqlQuery)
        with pytest.raises(RefusedError, match="a connection pooler stands between"):
            Databases({"master": database}).query(look)


def test_preflight_wants_a_role_that_sees_others(cluster: Cluster, own: Mapping[str, str]) -> None:
    cluster.sql("CREATE ROLE seeing; CREATE ROLE blind; GRANT pg_monitor TO seeing")
    try:
        for role, holds in (("seeing", True), ("blind", False)):
            database = Database(name="master", host="db-master", connection=own)
            check = sees_others(database)
            [look] = check.looks
            assert isinstance(look, SqlQuery)
            asked = replace(look, statement=look.statement.replace("current_user", f"'{role}'::name"))
            verdict = check.judge(
                (Databases({"master": database}).query(asked),), Facts(now=datetime.now(UTC), history=History())
            )
            assert verdict.holds is holds
            assert role in verdict.proof
    finally:
        cluster.sql("DROP ROLE seeing; DROP ROLE blind")


def test_a_holder_of_another_role_is_told_without_its_name(cluster: Cluster, own: Mapping[str, str]) -> None:
    """A role without pg_monitor sees nothing of the others' sessions but their numbers."""
    with (
        closing(connect(own, name="test")) as session,
        closing(connect(cluster.connection(dbname="postgres"), name="x")) as holding,
        held_locks([AdvisoryLock(holding, "cutover")]),
    ):
        with pytest.raises(LockedError, match="of another role, which only a member of pg_monitor can see"):
            held_locks([AdvisoryLock(session, "cutover")]).__enter__()
        [seen] = at_work(session)
        assert "pg_monitor" in seen


@pytest.fixture(scope="module")
def preparing(cluster: Cluster, servers_home: Path) -> Iterator[Cluster]:
    """A server that allows prepared transactions."""
    with reserved(1) as reservation:
        other = replace(cluster, name="preparing", folder=servers_home / "preparing", port=reservation.ports[0])
        postgres_server.create(other, password=PASSWORD, settings={"max_prepared_transactions": "2"})
        postgres_server.start(other)
    yield other
    postgres_server.stop(other, "immediate")


def test_the_hint_for_a_lock_names_the_prepared_transaction_that_holds_it(preparing: Cluster) -> None:
    preparing.sql("CREATE TABLE public.held (id integer)")
    preparing.sql("BEGIN; LOCK TABLE public.held; PREPARE TRANSACTION 'forgotten since May'")
    connection = preparing.connection(dbname="postgres")
    session = connect(connection, name="test", settings={"lock_timeout": "10ms"})
    with closing(session), pytest.raises(DatabaseError) as caught:
        session.execute("DELETE FROM public.held")
    preparing.sql("ROLLBACK PREPARED 'forgotten since May'")

    assert "pg_prepared_xacts (there: 'forgotten since May' since " in caught.value.hint

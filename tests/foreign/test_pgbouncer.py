"""The promises through pgbouncer: in session mode as without it, in transaction mode nothing is changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psycopg2
import pytest

from archiver.postgres.session import connect, conninfo
from archiver.records.cutoff import month_due
from errors import CutoverError, RefusedError
from inventory.model import Pooler
from rehearsal.postgres_server import Cluster
from runbooks.engine.model.actions import SqlQuery
from runbooks.night.live_ports import Databases
from runbooks.preflight.servers import right_server
from tests import oracle
from tests.foreign.pgbouncer import running, through
from tests.integration.test_ownership import ACTS, DAY, SCHOOL, fenced
from tests.months import archive_months, restore_months
from tests.worlds import DATABASES, NewWorld, World, same, sql

# Without those of a language, which are there once a function of it has run.
SETTINGS = """
SELECT name, setting FROM pg_settings
 WHERE name NOT IN ('application_name', 'client_encoding') AND name NOT LIKE 'plpgsql.%' ORDER BY 1
"""
LOCKS = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"


@pytest.fixture
def folder(servers_home: Path) -> Path:
    return servers_home / "pgbouncer"


@contextmanager
def busy(world: World, name: str = "master") -> Iterator[None]:
    """Let the product work through the same pooler, so that its connections change hands all the time."""
    over = threading.Event()

    def work() -> None:
        with suppress(psycopg2.Error), closing(psycopg2.connect(address(world, name))) as link:
            link.autocommit = True
            while not over.is_set():
                link.cursor().execute("SELECT count(*) FROM public.schools")

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()


def address(world: World, name: str = "master") -> str:
    return conninfo(world.environment.databases[name].connection)


def found_by_the_product(world: World) -> list[tuple[object, ...]]:
    """Return the settings that the product finds on the pooler's connections, taking all that are idle."""
    found = []
    links = [psycopg2.connect(address(world)) for _ in range(4)]  # each in a transaction, so on a server of its own
    for link in links:
        with link.cursor() as cursor:
            cursor.execute(SETTINGS)
            found += cursor.fetchall()
    for link in links:
        link.close()
    return found


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_in_transaction_mode_nothing_is_changed_or_left_behind(
    new_world: NewWorld, cluster: Cluster, folder: Path, tmp_path: Path, act: Callable[[World], object]
) -> None:
    with new_world(DATABASES) as world, running(cluster, folder, "transaction") as port:
        behind = fenced(through(world, port, None), tmp_path)
        before, settings = oracle.snapshot(world.dsns), found_by_the_product(behind)
        with pytest.raises(RefusedError, match="a connection pooler stands between"):
            act(behind)
        same(before, oracle.snapshot(world.dsns))
        assert found_by_the_product(behind) == settings


@pytest.mark.parametrize("act", ACTS.values(), ids=ACTS)
def test_transaction_mode_that_the_inventory_calls_session_loses_no_row(
    new_world: NewWorld, cluster: Cluster, folder: Path, tmp_path: Path, act: Callable[[World], object]
) -> None:
    with new_world(DATABASES) as world, running(cluster, folder, "transaction") as port:
        behind = fenced(through(world, port, Pooler.SESSION), tmp_path)
        before = oracle.snapshot(world.dsns)
        with busy(behind), busy(behind, "shard_3"), pytest.raises(CutoverError, match="is not this run's own"):
            act(behind)
        same(before, oracle.snapshot(world.dsns))


@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in a set"])
def test_in_session_mode_schools_go_and_come_back(
    new_world: NewWorld, cluster: Cluster, folder: Path, *, together: bool
) -> None:
    with new_world(DATABASES) as world, running(cluster, folder, "session") as port:
        behind = through(world, port, Pooler.SESSION)
        before = oracle.snapshot(world.dsns)
        with busy(behind):
            (behind.archive_together if together else behind.archive)(SCHOOL, 5)
            assert oracle.difference(before, oracle.snapshot(world.dsns))
            behind.restore(SCHOOL, 5)
        same(before, oracle.snapshot(world.dsns))
        with sql(world, "master") as cursor:
            cursor.execute(LOCKS)
            assert cursor.fetchall() == [(0,)]


def test_in_session_mode_months_go_and_come_back(new_world: NewWorld, cluster: Cluster, folder: Path) -> None:
    with new_world(DATABASES) as world, running(cluster, folder, "session") as port:
        behind = through(world, port, Pooler.SESSION)
        before = oracle.snapshot(world.dsns)
        archive_months(behind, DAY)
        assert oracle.difference(before, oracle.snapshot(world.dsns))
        restore_months(behind, str(month_due(DAY)))
        same(before, oracle.snapshot(world.dsns))


def test_a_pooler_that_resets_nothing_finds_its_connections_as_they_were(
    new_world: NewWorld, cluster: Cluster, folder: Path
) -> None:
    with new_world(DATABASES) as world, running(cluster, folder, "session", "server_reset_query =") as port:
        behind = through(world, port, Pooler.SESSION)
        settings = found_by_the_product(behind)
        behind.archive(SCHOOL)
        assert found_by_the_product(behind) == settings


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_through_a_pooler_that_the_inventory_does_not_name_looks_succeed_and_preflight_says_so(
    new_world: NewWorld, cluster: Cluster, folder: Path, mode: str
) -> None:
    with new_world(DATABASES) as world, running(cluster, folder, mode) as port:
        behind = through(world, port, None)
        settings = found_by_the_product(behind)
        databases = Databases(behind.environment.databases)
        query = SqlQuery(database="master", name="the schools", statement="SELECT count(*) > 0 FROM public.schools")
        with busy(behind):
            assert databases.query(query).rows == ((True,),)
            [look] = right_server(behind.environment.databases["master"]).looks
            assert isinstance(look, SqlQuery)
            with pytest.raises(RefusedError, match="a connection pooler stands between"):
                databases.query(look)
            with closing(connect(behind.environment.databases["master"].connection, name="test")) as session:
                assert session.row("SHOW extra_float_digits") == ("3",)
        assert found_by_the_product(behind) == settings

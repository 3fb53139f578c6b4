"""A database on a server of its own, killed runs, an earlier server in its place: nothing is lost, or it is refused.

The earlier server is a standby that stopped following and is promoted, or a base backup that is started.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import Enum

from archiver.store.bucket import Bucket
from inventory.model import Fence
from rehearsal import postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from rehearsal.waiting import await_condition
from tests import oracle
from tests.cases.attack_servers import moved, younger
from tests.conftest import PASSWORD
from tests.torture import judge
from tests.torture.runs import Act, Ending, run
from tests.worlds import World

COUNTER = itertools.count(1)


class Earlier(Enum):
    """The kind of the server that takes another one's place."""

    STANDBY = "a lagging standby, promoted"
    BACKUP = "a base backup"


@dataclass(frozen=True, kw_only=True)
class Copy:
    """A copy of a server as it was at one moment, not yet in use."""

    cluster: Cluster
    kind: Earlier

    def open(self) -> None:
        """Start the base backup, or promote the standby, and wait until it takes writes."""
        if self.kind is Earlier.BACKUP:
            postgres_server.start(self.cluster)
        else:
            self.cluster.sql("SELECT pg_promote()")


@contextmanager
def own_server(cluster: Cluster) -> Iterator[Cluster]:
    """A small server, whose superuser's password PostgreSQL's user can read too."""
    with younger(cluster) as server:
        passfile = server.folder.with_name("passfile of servers")
        postgres_server.write_passfile(passfile, "*", PASSWORD, owner=server.programs.owner)
        yield replace(server, passfile=passfile)


@contextmanager
def copied(server: Cluster, kind: Earlier) -> Iterator[Copy]:
    """Copy a server as it is now; a standby stops following at once."""
    name = f"copy {next(COUNTER)}".replace(" ", "_")
    with reserved(1) as reservation:
        copy = replace(server, name=name, folder=server.folder.with_name(name), port=reservation.ports[0])
        try:
            if kind is Earlier.STANDBY:
                postgres_server.clone(server, copy)
                _stop_following(copy)
            else:
                copy.programs.make_folder(copy.folder)
                words = (f"--dbname={server.dsn()}", f"--pgdata={copy.data}", "--checkpoint=fast", "--no-sync")
                copy.programs.serve("pg_basebackup", *words)
                postgres_server.configure(copy)
            yield Copy(cluster=copy, kind=kind)
        finally:
            postgres_server.remove(copy)


def _stop_following(standby: Cluster) -> None:
    standby.sql("ALTER SYSTEM SET primary_conninfo = ''")
    standby.sql("SELECT pg_reload_conf()")
    await_condition(
        lambda: standby.sql("SELECT count(*) FROM pg_stat_wal_receiver") == "0", doing="Letting it lag", seconds=30
    )


@dataclass(frozen=True, kw_only=True)
class Try:
    """One act, killed at a moment, while a server is set back to an earlier one."""

    act: Act
    database: str  # the one that is set back
    kind: Earlier
    lag_at: int | None  # the kill at which the copy was taken; None: before the act
    die_at: int | None  # the second kill; None: the act ends

    def __str__(self) -> str:
        died = "ended" if self.die_at is None else f"killed at {self.die_at}"
        return f"{self.act}, {died}; {self.database} replaced by {self.kind.value} of {self.lag_at}"


def lost(world: World, server: Cluster, one: Try) -> int:
    """Do it in a fresh world. Return the number of rows neither live nor in an archive that is named.

    Archives are named by master's records, or by the sentences of what is refused.
    """
    world = _fenced(moved(world, one.database, server))
    before = oracle.snapshot(world.dsns)
    with ExitStack() as stack:
        if one.lag_at is not None:
            run(world, one.act, die_at=one.lag_at)
        copy = stack.enter_context(copied(server, one.kind))
        run(world, one.act, die_at=one.die_at)
        copy.open()
        now = _on(world, one.database, copy.cluster)
        endings = [run(now, one.act), run(now, replace(one.act, verb="restore", shards=None, others=()))]
        for ending in endings:
            assert not ending.broke, f"{one}: {ending.broke}"
        missing = judge.gone(before, oracle.snapshot(now.dsns))
        return _unnamed(now, one, endings, missing)


def _unnamed(world: World, one: Try, endings: list[Ending], missing: dict[tuple[str, str], Counter[bytes]]) -> int:
    """Return the number of missing rows that are in no named archive."""
    if not missing:
        return 0
    schools = (one.act.school, *one.act.others)
    named = [location for school in schools for _, location in judge.books(world, school).records]
    said = " ".join(ending.refused for ending in endings)
    bucket = Bucket(world.environment.store)
    named += [each.location for each in bucket.objects() if each.location in said]
    archives = [judge.stored(world.environment.store, location) for location in dict.fromkeys(named)]
    together = judge.Stored(
        rows={table: _rows(archives, table) for table in missing},
        carried={table: carried for archive in archives for table, carried in archive.carried.items()},
    )
    return sum(together.lacks(table, lines) for table, lines in missing.items())


def _rows(archives: Sequence[judge.Stored], table: tuple[str, str]) -> Counter[bytes]:
    """Return a table's rows in all these archives."""
    rows: Counter[bytes] = Counter()
    for archive in archives:
        rows.update(archive.rows.get(table, Counter()))
    return rows


def _on(world: World, database: str, server: Cluster) -> World:
    """The world with a database's server replaced."""
    where = world.environment.databases[database]
    connection = {**where.connection, "port": str(server.port)}
    databases = {**world.environment.databases, database: replace(where, connection=connection)}
    dsn = server.dsn(dbname=where.connection["dbname"], user=where.connection["user"])
    return replace(
        world,
        environment=replace(world.environment, databases=databases),
        dsns={**world.dsns, database: dsn},
    )


def _fenced(world: World) -> World:
    """The world with a fence, which moves need."""
    fence = Fence(close="true {id}", open="true {id}")
    return replace(world, environment=replace(world.environment, fence=fence))

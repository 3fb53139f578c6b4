"""A database on a server of its own, runs that die, an earlier server in its place: nothing is lost, or it is refused.

The earlier server is a standby that stopped following and is promoted, or a base backup that is started.
"""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from enum import Enum

from rehearsal import postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from rehearsal.waiting import await_condition
from tests import oracle
from tests.cases.attack_servers import moved, younger
from tests.conftest import PASSWORD
from tests.oracle import Snapshot
from tests.torture import judge
from tests.torture.archives_named import archived_rows, moved_rows
from tests.torture.runs import Ending, Pause, run
from tests.torture.set_back_ways import Way
from tests.worlds import World

COUNTER = itertools.count(1)
BEFORE, JUST_BEFORE = "before", "just before"  # when the copy was taken: before the act, before its last commit


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

    way: Way
    database: str  # the one that is set back
    kind: Earlier
    lag_at: int | None  # the moment of the act at which the copy was taken; None: before the act
    die_at: int | None  # the moment at which the act dies; None: it ends

    @property
    def name(self) -> str:
        """A name for the ledger, and for pytest's -k."""
        return f"{self.kind.name.lower()} of {self.lag_at}, dies at {self.die_at}"

    def __str__(self) -> str:
        died = "ended" if self.die_at is None else f"killed at {self.die_at}"
        return f"{self.way.name}, {died}; {self.database} replaced by {self.kind.value} of {self.lag_at}"


def tries(way: Way, database: str, ending: Ending) -> list[Try]:
    """Return all tries of a way and a database, in an order of which every beginning is a fair sample.

    The act dies at each moment by which this database has committed something, and ends once. To each of these belong
    two copies: the one taken before the act, which lacks all that was committed, and the one taken just before the
    database's last commit, which lacks only that. Both kinds of server take its place. Between two commits of any
    database all moments leave the same rows behind: of each such stretch one moment comes first, then all others.
    """
    moments = [*range(len(ending.moments)), None]
    stretches: dict[int, list[int | None]] = {}
    for die_at in random.Random(way.name).sample(moments, len(moments)):
        passed = [number for number, _ in ending.lasting if die_at is None or number < die_at]
        stretches.setdefault(len(passed) if die_at is not None else -1, []).append(die_at)
    rounds = itertools.zip_longest(*stretches.values(), fillvalue=-1)
    in_order = [die_at for each in rounds for die_at in each if die_at != -1]
    of_kills = [[*_of_kill(way, database, ending, die_at)] for die_at in in_order]
    return [*_in_turn(of_kills[: len(stretches)]), *_in_turn(of_kills[len(stretches) :])]


def _in_turn(of_kills: Sequence[Sequence[Try]]) -> Iterator[Try]:
    """Yield one try of each kill, of another copy and kind than of the kill before, then the next one of each."""
    for turn in range(max(map(len, of_kills), default=0)):
        for number, every in enumerate(of_kills):
            if every:
                yield every[(number + turn) % len(every)]


def _of_kill(way: Way, database: str, ending: Ending, die_at: int | None) -> Iterator[Try]:
    committed = [
        number for number, where in ending.lasting if where == database and (die_at is None or number < die_at)
    ]
    if committed:
        for lag_at, kind in itertools.product((None, committed[-1]), Earlier):
            yield Try(way=way, database=database, kind=kind, lag_at=lag_at, die_at=die_at)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """The end of a try."""

    lost: int  # rows neither live nor in an archive that is named
    said: Sequence[str]  # by each run on the earlier server: its refusal, or nothing
    wrong: str = ""  # a traceback, or rows that are live twice or missing though nothing was refused


def unharmed(world: World, way: Way) -> Ending:
    """Return the end of the act that nothing disturbs."""
    way.ready(world)
    ending = run(world, way.act)
    assert ending.moments, ending
    return ending


def tried(world: World, server: Cluster, one: Try) -> Verdict:
    """Make a try in a fresh world.

    Archives are named by master's records, or by the sentences of what is refused.
    """
    with ExitStack() as stack:
        world = moved(world, one.database, server)
        before = oracle.snapshot(world.dsns)
        one.way.ready(world)
        copies: list[Copy] = []

        def copy() -> None:
            copies.append(stack.enter_context(copied(server, one.kind)))

        if one.lag_at is None:
            copy()
        pause = None if one.lag_at is None else Pause(at=one.lag_at, meanwhile=copy)
        run(world, one.way.act, die_at=one.die_at, pause=pause)
        [earlier] = copies
        earlier.open()
        now = _on(world, one.database, earlier.cluster)
        endings = [run(now, act) for act in (one.way.act, *one.way.back)]
        return _judged(now, before, endings)


def _judged(world: World, before: Snapshot, endings: Sequence[Ending]) -> Verdict:
    said = [ending.refused for ending in endings]
    if broke := [ending.broke for ending in endings if ending.broke]:
        return Verdict(lost=0, said=said, wrong=broke[0])
    live = oracle.snapshot(world.dsns)
    missing = judge.gone(before, live)
    wrong = "" if said[-1] or before.tables == live.tables else f"refused: nothing. {oracle.difference(before, live)}"
    return Verdict(lost=_unnamed(world, missing, live, said[-1]), said=said, wrong=wrong)


def _unnamed(world: World, missing: dict[tuple[str, str], Counter[bytes]], live: Snapshot, said: str) -> int:
    """Return the number of missing rows that are in no named archive, and were not moved either."""
    if not missing:
        return 0
    elsewhere = moved_rows(world, missing, live)
    archives = archived_rows(world, said)
    lost = 0
    for table, lines in missing.items():
        lines = lines - elsewhere.get(table, Counter())
        rows: Counter[bytes] = Counter()
        for archive in archives:
            rows.update(archive.rows.get(table, ()))
        carried = [archive.carried[table] for archive in archives if table in archive.carried][:1]
        lost += judge.Stored(rows={table: rows}, carried=dict.fromkeys([table], *carried)).lacks(table, lines)
    return lost


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

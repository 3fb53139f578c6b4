"""One archive or restore as a process of its own, as an operator's command would be; it may kill itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection

import psycopg2

from archiver.catalog.model import Part
from archiver.delete.throttle import Throttle
from archiver.records import purge_record
from archiver.records.cutoff import month_due
from archiver.records.state import State
from archiver.runs import purge
from errors import CutoverError
from rehearsal.waiting import await_condition
from tests.adoptions import adopt
from tests.legacy_users import purged
from tests.months import archive_months, restore_months
from tests.torture.tripwire import Tripwire
from tests.worlds import World, sql

SECONDS = 600  # no run of one small school lasts that long, on the busiest machine either
PRELOAD = ["tests.torture.runs"]  # imported once, in the process that forks the runs


@dataclass(frozen=True, kw_only=True)
class Act:
    """An operator's command: `archive.school 13 --depth=all`, `restore.school 13`, `archive.reencrypt 13`, or for all;
    `shards.merge --from=shard_2 --into=shard_1`, or `users.purge`, and a restore of each purge."""

    verb: str
    school: int
    depth: str
    others: tuple[int, ...] = ()  # of archive.all: the schools that go with it
    shards: tuple[str, str] | None = None  # of a merge or split: from, into
    day: date = date.min  # of activity: when it is due

    def __str__(self) -> str:
        if self.others:
            return f"archive.all --depth={self.depth}"
        if self.shards:
            return f"shards.{self.verb} {' '.join(self.shards)}"
        if not self.school:
            return self.verb
        return f"{self.verb}.school {self.school} --depth={self.depth}"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of a run."""

    killed: bool = False
    refused: str = ""  # one sentence of ours
    broke: str = ""  # a traceback: never right
    moments: Sequence[str] = ()  # before and after each write, where it was not killed
    lasting: Sequence[tuple[int, str]] = ()  # of its commits: the moment before, and the database


@dataclass(frozen=True, kw_only=True)
class Pause:
    """A moment of a run at which something else happens."""

    at: int
    meanwhile: Callable[[], object]


def run(world: World, act: Act, *, die_at: int | str | None = None, pause: Pause | None = None) -> Ending:
    """Run it to its end or its death, wait until the server knows that it is gone, and return the end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    hears, says = context.Pipe()
    process = context.Process(target=_perform, args=(world, act, die_at, pause and pause.at, says))
    process.start()
    says.close()
    with hears:
        ending = _heard(hears, pause)
    process.join(SECONDS)
    if process.exitcode == -signal.SIGKILL:
        ending = Ending(killed=True)
    process.close()
    await_alone(world)
    return ending


def _heard(hears: Connection, pause: Pause | None) -> Ending:
    """Return the end of a run, and let happen what belongs to the moment at which it waits."""
    try:
        ending = hears.recv() if hears.poll(SECONDS) else Ending(broke=f"no answer in {SECONDS} seconds")
        if pause and ending is None:
            pause.meanwhile()
            hears.send(None)
            return _heard(hears, None)
    except EOFError:
        return Ending(broke="the process ended without a word")
    assert isinstance(ending, Ending)
    return ending


def _perform(world: World, act: Act, die_at: int | str | None, pause_at: int | None, says: Connection) -> None:
    def wait() -> None:
        says.send(None)
        says.recv()

    wire = Tripwire(die_at, pause_at, wait)
    wire.set_up()
    try:
        _do(world, act)
        ending = Ending(moments=wire.passed, lasting=wire.lasting)
    except CutoverError as error:
        ending = Ending(refused=str(error))
    except BaseException:
        ending = Ending(broke=traceback.format_exc())
    says.send(ending)
    says.close()
    os._exit(0)


def _do(world: World, act: Act) -> None:
    if act.shards:
        world.move_all(act.verb, *act.shards)
    elif act.others:
        world.archive_together(act.school, *act.others, depth=act.depth)
    else:
        _ACTS[act.verb](world, act)


def _restore_purges(world: World) -> None:
    with world.archiver() as archiver:
        for each in purge_record.every(archiver.databases.master):
            if each.state is State.ARCHIVED:
                purge.restore(archiver, each.id)


def _purge(world: World) -> None:
    with world.archiver() as archiver:
        purged(archiver)


def _adopt(world: World) -> None:
    for outcome in adopt(world):
        outcome.result()


def _restore_classroom(world: World, school: int) -> None:
    """Restore the first classroom in a school's archive."""
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT min(i) FROM archiver.archives a JOIN archiver.ids x ON x.record_id = a.id, unnest(x.ids) i"
            " WHERE a.kind = 'tenant' AND a.key = %s AND table_name = 'classrooms'",
            (str(school),),
        )
        [[classroom]] = cursor.fetchall()
    world.restore(school, only=Part("classroom", classroom))


_ACTS: Mapping[str, Callable[[World, Act], object]] = {
    "archive": lambda world, act: world.archive(act.school, depth=act.depth),
    "restore": lambda world, act: world.restore(act.school),
    "reencrypt": lambda world, act: world.reencrypt(act.school),
    "drop": lambda world, act: world.drop(act.school),
    # In batches so small that a slice has several.
    "archive activity": lambda world, act: archive_months(world, act.day, throttle=Throttle(batch=10)),
    "restore activity": lambda world, act: restore_months(world, str(month_due(act.day))),
    "purge": lambda world, act: _purge(world),
    "adopt": lambda world, act: _adopt(world),
    "restore classroom": lambda world, act: _restore_classroom(world, act.school),
    "restore purges": lambda world, act: _restore_purges(world),
}


def await_alone(world: World) -> None:
    """Wait until no session is left: the servers have rolled back and unlocked what the dead one held."""
    scratch = world.environment.scratch.connection["dbname"]
    names = [*(psycopg2.extensions.parse_dsn(dsn)["dbname"] for dsn in world.dsns.values()), scratch]
    for dsn in {psycopg2.extensions.parse_dsn(dsn)["port"]: dsn for dsn in world.dsns.values()}.values():
        _await_alone(dsn, names)


def _await_alone(dsn: str, names: list[str]) -> None:
    link = psycopg2.connect(dsn)
    link.autocommit = True
    try:
        with link.cursor() as cursor:
            await_condition(lambda: _alone(cursor, names), doing="Waiting for the killed sessions", seconds=120)
    finally:
        link.close()


def _alone(cursor: psycopg2.extensions.cursor, names: list[str]) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"
    cursor.execute(query, (names,))
    return bool(cursor.fetchall()[0][0] == 0)

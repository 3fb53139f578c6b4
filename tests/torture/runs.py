"""One archive or restore as a process of its own, as an operator's command would be; it may kill itself."""

from __future__ import annotations

import multiprocessing
import os
import signal
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from multiprocessing.connection import Connection

import psycopg2

from archiver.delete.throttle import Throttle
from archiver.records.cutoff import month_due
from errors import CutoverError
from inventory.model import Depth
from rehearsal.waiting import await_condition
from tests.months import archive_months, restore_months
from tests.torture.tripwire import Tripwire
from tests.worlds import World

SECONDS = 120  # no run of one small school lasts that long
PRELOAD = ["tests.torture.runs"]  # imported once, in the process that forks the runs


@dataclass(frozen=True, kw_only=True)
class Act:
    """An operator's command: `archive.school 13 --depth=all`, `restore.school 13`, `archive.reencrypt 13`, or for all;
    or `shards.merge --from=shard_2 --into=shard_1`."""

    verb: str
    school: int
    depth: Depth
    others: tuple[int, ...] = ()  # of archive.all: the schools that go with it
    shards: tuple[str, str] | None = None  # of a merge or split: from, into
    day: date = date.min  # of activity: when it is due

    def __str__(self) -> str:
        if self.others:
            return f"archive.all --depth={self.depth.value}"
        if self.shards:
            return f"shards.{self.verb} {' '.join(self.shards)}"
        return f"{self.verb}.school {self.school} --depth={self.depth.value}"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """The end of a run."""

    killed: bool = False
    refused: str = ""  # one sentence of ours
    broke: str = ""  # a traceback: never right
    moments: Sequence[str] = ()  # before and after each write, where it was not killed


def run(world: World, act: Act, *, die_at: int | None = None) -> Ending:
    """Run it to its end or its death, wait until the server knows that it is gone, and return the end."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOAD)
    hears, says = context.Pipe(duplex=False)
    process = context.Process(target=_perform, args=(world, act, die_at, says))
    process.start()
    says.close()
    with hears:
        ending = _heard(hears)
    process.join(SECONDS)
    if process.exitcode == -signal.SIGKILL:
        ending = Ending(killed=True)
    process.close()
    await_alone(world)
    return ending


def _heard(hears: Connection) -> Ending:
    try:
        ending = hears.recv() if hears.poll(SECONDS) else Ending(broke=f"no answer in {SECONDS} seconds")
    except EOFError:
        return Ending(broke="the process ended without a word")
    assert isinstance(ending, Ending)
    return ending


def _perform(world: World, act: Act, die_at: int | None, says: Connection) -> None:
    wire = Tripwire(die_at)
    wire.set_up()
    try:
        if act.shards:
            world.move_all(act.verb, *act.shards)
        elif act.others:
            world.archive_together(act.school, *act.others, depth=act.depth)
        elif act.verb == "archive":
            world.archive(act.school, depth=act.depth)
        elif act.verb == "restore":
            world.restore(act.school)
        elif act.verb == "archive activity":
            archive_months(world, act.day, throttle=Throttle(batch=10))  # so that a slice has several
        elif act.verb == "restore activity":
            restore_months(world, str(month_due(act.day)))
        else:
            world.reencrypt(act.school)
        ending = Ending(moments=wire.passed)
    except CutoverError as error:
        ending = Ending(refused=str(error))
    except BaseException:
        ending = Ending(broke=traceback.format_exc())
    says.send(ending)
    says.close()
    os._exit(0)


def await_alone(world: World) -> None:
    """Wait until no session is left: the server has rolled back and unlocked what the dead one held."""
    scratch = world.environment.scratch.connection["dbname"]
    names = [*(psycopg2.extensions.parse_dsn(dsn)["dbname"] for dsn in world.dsns.values()), scratch]
    link = psycopg2.connect(world.dsns["master"])
    link.autocommit = True
    try:
        with link.cursor() as cursor:
            await_condition(lambda: _alone(cursor, names), doing="Waiting for the killed sessions", seconds=30)
    finally:
        link.close()


def _alone(cursor: psycopg2.extensions.cursor, names: list[str]) -> bool:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"
    cursor.execute(query, (names,))
    return bool(cursor.fetchall()[0][0] == 0)

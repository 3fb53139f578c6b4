"""The ways out and back on which a database is set back: what comes before the act, the act, and what is run then."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date

from archiver.postgres import own_schema
from inventory.catalog import DEFAULT_DEPTH
from inventory.model import Fence
from tests.legacy_users import OLD
from tests.torture.runs import Act, run
from tests.worlds import SHARDS, NewWorld, World, sql

SCHOOL, OTHER, HERE, THERE = 13, 61, "shard_3", "shard_1"
DAY = date(2012, 11, 5)  # when little is due
FENCE = Fence(close="true {id}", open="true {id}")
ARCHIVE = Act(verb="archive", school=SCHOOL, depth=DEFAULT_DEPTH)
MANY = replace(ARCHIVE, others=(OTHER,))
RESTORE = replace(ARCHIVE, verb="restore")
MONTH = Act(verb="archive activity", school=0, depth=DEFAULT_DEPTH, day=DAY)
MONTH_BACK = replace(MONTH, verb="restore activity")
PURGE = Act(verb="purge", school=0, depth=DEFAULT_DEPTH)
PURGE_BACK = replace(PURGE, verb="restore purges")
MERGE = Act(verb="merge", school=SCHOOL, depth=DEFAULT_DEPTH, shards=(HERE, THERE))
SPLIT = Act(verb="split", school=SCHOOL, depth=DEFAULT_DEPTH, shards=(THERE, HERE))


@dataclass(frozen=True, kw_only=True)
class Way:
    """A way out or back."""

    name: str
    act: Act  # it dies, and is run again when a database has been set back
    back: Sequence[Act]  # run then; the last one brings all rows back
    earlier: Sequence[Act] = ()  # what has ended before
    dies: tuple[Act, str] | None = None  # what has died after that, and when
    databases: Sequence[str] = ("master", HERE)
    set_back: Sequence[str] = ("master", HERE)
    alike: bool = False  # in a world in which all shards number from 1
    first: bool = False  # the act makes the archiver's tables: a copy of before has none
    prepare: Callable[[World], object] = lambda world: None

    def __str__(self) -> str:
        return self.name

    @contextmanager
    def world(self, new_world: NewWorld, alike: str) -> Iterator[World]:
        """A fresh world with all its rows live. `alike` is the template of few schools."""
        template = {"template": alike} if self.alike else {}
        with new_world(self.databases, **template) as world:
            self.prepare(world)
            yield replace(world, environment=replace(world.environment, fence=FENCE))

    def ready(self, world: World) -> None:
        """Do what comes before the act."""
        if not self.first:
            with world.archiver() as archiver:
                for name in self.databases:
                    own_schema.prepare(archiver.databases.session(name))
        for act in self.earlier:
            ending = run(world, act)
            assert ending.moments, ending
        if self.dies:
            act, moment = self.dies
            assert run(world, act, die_at=moment).killed, f"{act} was to die {moment}"


def _alone(world: World) -> None:
    """Leave one school on its shard."""
    with sql(world, "master") as cursor:
        cursor.execute("UPDATE schools SET shard = %s WHERE shard = %s AND id <> %s", (THERE, HERE, SCHOOL))


def _with_old_users(world: World) -> None:
    """Give legacy users rows of their own."""
    with sql(world, "master") as cursor:
        cursor.execute(
            "INSERT INTO preferences (user_id, name, value, created_at, updated_at)"
            f" SELECT id, 'theme', '\"dark\"', now(), now() FROM users WHERE id IN ({OLD})"
        )


_MOVE = Way(
    name="",
    act=MERGE,
    back=(SPLIT,),
    databases=("master", HERE, THERE),
    set_back=("master", HERE, THERE),
    alike=True,
    prepare=_alone,
)
# Of a purge all is in master: no shard can be set back behind it.
_PURGE = Way(
    name="", act=PURGE, back=(PURGE_BACK,), databases=("master", *SHARDS), set_back=("master",), prepare=_with_old_users
)
WAYS = (
    Way(name="one", act=ARCHIVE, back=(RESTORE,), first=True),
    Way(name="many", act=MANY, back=(RESTORE, replace(RESTORE, school=OTHER))),
    Way(name="restore", act=RESTORE, back=(ARCHIVE, RESTORE), earlier=(ARCHIVE,)),
    Way(name="month", act=MONTH, back=(MONTH_BACK,)),
    Way(name="restore-month", act=MONTH_BACK, back=(MONTH_BACK,), earlier=(MONTH,)),
    Way(name="restore-with-months", act=RESTORE, back=(RESTORE, MONTH_BACK), earlier=(MONTH, ARCHIVE)),
    replace(_PURGE, name="purge"),
    replace(_PURGE, name="restore-purge", act=PURGE_BACK, earlier=(PURGE,)),
    replace(_MOVE, name="merge"),
    replace(
        _MOVE, name="merge-withdrawn", dies=(MERGE, f"after {THERE}: COMMIT (moving school {SCHOOL} into {THERE})")
    ),
    replace(_MOVE, name="split", act=SPLIT, earlier=(MERGE,)),
)

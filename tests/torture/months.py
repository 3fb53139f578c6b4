"""Past months killed on their way out and on their way back, at one moment after the other, and judged each time."""

from __future__ import annotations

import gzip
import io
import random
import tarfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, date
from functools import cache, lru_cache
from typing import Any

import psycopg2

from archiver.records.holds import release
from inventory.catalog import DEFAULT_DEPTH
from runbooks.activity import span_at
from tests import oracle
from tests.months import archive_months
from tests.oracle import Snapshot
from tests.oracle_months import expected_after_month
from tests.torture import judge
from tests.torture.kills import Kill, Tried
from tests.torture.runs import Act, run
from tests.worlds import World, sql

FEW, FEW_DATABASES = date(2012, 11, 5), ("master", "shard_3")  # where little is due
Table = tuple[str, str]  # shard and table
Went = tuple[Mapping[str, int], Mapping[str, Sequence[str]]]  # by member: rows decided, and keys of those that stayed


@dataclass(kw_only=True)
class Months:
    """A world whole at first, without its past months after each `archive`, and whole after each `restore`."""

    world: World
    day: date
    whole: Snapshot = field(init=False)
    out: Snapshot = field(init=False)
    moments: dict[str, Sequence[str]] = field(init=False)  # by verb

    def __post_init__(self) -> None:
        self.whole = oracle.snapshot(self.world.dsns)
        before = span_at(self.world.environment, self.day).before.astimezone(UTC).replace(tzinfo=None)
        self.out = expected_after_month(self.world.dsns, before, self.whole)
        self.round(None, None)  # makes the archiver's tables
        self.moments = {verb: self._whole_run(verb) for verb in ("archive", "restore")}

    def round(self, archive_at: int | None, restore_at: int | None) -> list[Tried]:
        """Out and back, killed on either way at a moment or not at all."""
        tried = []
        for verb, moment in (("archive", archive_at), ("restore", restore_at)):
            began = time.monotonic()
            if moment is not None:
                Kill(self.world).strike(self._act(verb), moment)
                judged(self.world, self.whole, oracle.snapshot(self.world.dsns))
            self._whole_run(verb)
            if moment is not None:
                name, seconds = self.moments[verb][moment], time.monotonic() - began
                tried.append(Tried(act=self._act(verb), number=moment, moment=name, lost=0, seconds=seconds))
        return tried

    def _whole_run(self, verb: str) -> Sequence[str]:
        """Run it to its end, assert that the oracle's rows are live and all others archived, and return its moments."""
        ending = run(self.world, self._act(verb))
        assert not ending.broke, ending.broke
        assert not ending.refused or "No activity" in ending.refused, ending.refused
        goal, found = self.out if verb == "archive" else self.whole, oracle.snapshot(self.world.dsns)
        assert found == goal, oracle.difference(goal, found)
        judged(self.world, self.whole, oracle.snapshot(self.world.dsns))
        if verb == "restore":
            with self.world.archiver() as archiver:
                release(archiver.databases.master)
        return ending.moments

    def _act(self, verb: str) -> Act:
        return Act(verb=f"{verb} activity", school=0, depth=DEFAULT_DEPTH, day=self.day)


@dataclass(kw_only=True)
class School:
    """A school that is archived after its past months, and killed during its restore; whole after each `killed`."""

    world: World
    school: int
    day: date
    whole: Snapshot = field(init=False)
    moments: Sequence[str] = field(init=False)

    def __post_init__(self) -> None:
        self._out()
        self.moments = Kill(self.world).moments(self._act)
        self.whole = oracle.snapshot(self.world.dsns)

    def killed(self, number: int) -> Tried:
        """Kill it at a moment; no row is lost, none is live twice, and run again it comes back whole."""
        self._out()
        began = time.monotonic()
        Kill(self.world).strike(self._act, number)
        lost = self._lost(oracle.snapshot(self.world.dsns))
        ending = run(self.world, self._act)
        assert not ending.broke and (not ending.refused or "not archived" in ending.refused), ending
        found = oracle.snapshot(self.world.dsns)
        assert found == self.whole, oracle.difference(self.whole, found)
        seconds = time.monotonic() - began
        return Tried(act=self._act, number=number, moment=self.moments[number], lost=lost, seconds=seconds)

    def _lost(self, live: Snapshot) -> int:
        """Rows that are neither live nor in the school's archives, of the year or of a month."""
        missing, surplus = judge.gone(self.whole, live), judge.gone(live, self.whole)
        assert not surplus, f"rows are live twice, or are new: {oracle.difference(self.whole, live)}"
        archived: defaultdict[Table, Counter[bytes]] = defaultdict(Counter)
        of_year = (
            judge.stored(self.world.environment.store, location).rows
            for _, location in judge.books(self.world, self.school).records
        )
        of_months = (one.rows for one in archived_slices(self.world) if one.school == self.school)
        for rows in (*of_year, *of_months):
            for table, lines in rows.items():
                archived[table].update(lines)
        return sum(
            (carried(self.world, table, lines.elements()) - archived[table]).total() for table, lines in missing.items()
        )

    @property
    def _act(self) -> Act:
        return Act(verb="restore", school=self.school, depth=DEFAULT_DEPTH)

    def _out(self) -> None:
        with self.world.by_one_worker() as busy:
            assert busy.worker
            release(busy.worker.databases.master)
            archive_months(busy, self.day)
            busy.archive(self.school)


def in_any_order(moments: Sequence[str], seed: int) -> list[int]:
    """All moments, first one of each kind, and in no order else: an early end has seen a fair sample."""
    order = random.Random(seed).sample(range(len(moments)), len(moments))
    first = {moments[number]: number for number in reversed(order)}.values()
    return [*sorted(first, key=order.index), *(number for number in order if number not in first)]


def judged(world: World, whole: Snapshot, live: Snapshot) -> None:
    """Assert that each row is live or in a stored archive that a record or a marker names, and none is both."""
    missing, surplus = judge.gone(whole, live), judge.gone(live, whole)
    assert not surplus, f"rows are live twice, or are new: {oracle.difference(whole, live)}"
    archived: defaultdict[Table, Counter[bytes]] = defaultdict(Counter)
    for one in archived_slices(world):
        for table, lines in one.rows.items():
            archived[table].update(lines)
    for table, lines in missing.items():
        assert carried(world, table, lines.elements()) == archived.pop(table), table
    assert not any(archived.values()), f"rows are live, and archived: {archived}"


def carried(world: World, table: Table, lines: Iterable[bytes]) -> Counter[bytes]:
    """Rows, in the oracle's words, as archives show them."""
    columns = _columns(world.dsns[table[0]], table[1])
    return Counter(judge.shown(line, columns) for line in lines)


@cache
def _columns(dsn: str, table: str) -> list[bool]:
    """Return for each column whether archives carry it."""
    with closing(psycopg2.connect(dsn)) as link, link.cursor() as cursor:
        cursor.execute(
            "SELECT attgenerated = '' FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
            " AND NOT attisdropped ORDER BY attnum",
            (table,),
        )
        return [row[0] for row in cursor.fetchall()]


@dataclass(frozen=True, kw_only=True)
class Archived:
    """The rows of one slice that are in the archive only, as COPY lines."""

    month: str
    school: int
    rows: Mapping[Table, Counter[bytes]]


def archived_slices(world: World) -> Iterator[Archived]:
    """Yield the deleted rows of each slice, by records and markers, out of the stored objects."""
    recorded = _recorded(world)
    markers = {shard: _markers(world, shard) for shard in {row[2] for row in recorded}}
    for number, month, shard, location, school, *decided in recorded:
        went, stayed = _went(markers[shard], number, school, *decided)
        files = _files(world, location, f"{month}_school_{school}.tar.gz") if went else {}
        rows = {}
        for member, count in went.items():
            table, keys = member.removeprefix("shard/").removesuffix(".copy"), set(stayed.get(member, ()))
            lines = files[member].splitlines(keepends=True)[:count]
            rows[shard, table] = Counter(line for line in lines if line.split(b"\t")[0].decode() not in keys)
        yield Archived(month=month, school=school, rows=rows)


def _recorded(world: World) -> list[tuple[Any, ...]]:
    with sql(world, "master") as cursor:
        cursor.execute(
            "SELECT m.id, m.key::jsonb #>> '{}', m.shard, m.location, s.key::bigint, s.went, s.stayed"
            "  FROM archiver.archives m JOIN archiver.members s ON (s.kind, s.archive_id) = (m.kind, m.id)"
            " WHERE m.state IN ('deleting', 'archived')"
        )
        return cursor.fetchall()


def _markers(world: World, shard: str) -> dict[tuple[int, str], Any]:
    with sql(world, shard) as cursor:
        cursor.execute("SELECT record_id, act, content FROM archiver.markers WHERE act LIKE 'slice %'")
        return {(number, act): content for number, act, content in cursor.fetchall()}


def _went(markers: Mapping[tuple[int, str], Any], number: int, tenant: int, went: Any, stayed: Any) -> Went:
    """Return the deleted rows of a slice; the shard's markers know better than master how far a dead run came."""
    if (number, f"slice {tenant} restored") in markers:
        return {}, {}
    if went is not None:
        return went, stayed
    found = markers.get((number, f"slice {tenant} went"), {"went": {}, "stayed": {}})
    return found["went"], found["stayed"]


_object = lru_cache(maxsize=100)(judge.fetched)  # an object of the store never changes


def _files(world: World, location: str, name: str) -> dict[str, bytes]:
    """The members of a slice, by plain Python alone."""
    with tarfile.open(fileobj=io.BytesIO(_object(world.environment.store, location))) as month:
        tarball = judge.content(month, month.getmember(name))
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(tarball))) as tar:
        return {entry.name: judge.content(tar, entry) for entry in tar}

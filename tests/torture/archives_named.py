"""The rows in archives that master's records or an operator's screen name, by plain Python alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from archiver.store.bucket import Bucket
from tests import oracle_moved
from tests.oracle import Snapshot
from tests.torture import judge
from tests.torture.judge import Stored
from tests.worlds import World, sql

Table = tuple[str, str]  # database and table


def archived_rows(world: World, said: str) -> list[Stored]:
    """Return the archives that master's records name, or what was said, and that are in the store."""
    named = _recorded(world)
    store, found = world.environment.store, list[Stored]()
    for each in Bucket(store).objects():
        if each.location in named or each.location in said:
            if each.location.endswith(".tar"):
                found += judge.stored_month(store, each.location)
            elif each.location.endswith(".tar.gz"):
                found.append(judge.stored(store, each.location))
    return found


def moved_rows(world: World, missing: Mapping[Table, Counter[bytes]], live: Snapshot) -> dict[Table, Counter[bytes]]:
    """Return those of the rows missing on one shard that are live on another, with a move's number added to each id."""
    found: dict[Table, Counter[bytes]] = {}
    for source, target, plus in _moves(world):
        for (shard, table), lines in missing.items():
            if shard == source and table in oracle_moved.IDS:
                there = Counter(live.tables[target][table])
                elsewhere = Counter({line: there[oracle_moved.added(table, line, plus)] for line in lines})
                found.setdefault((shard, table), Counter()).update(+elsewhere)
    return found


def _recorded(world: World) -> set[str]:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT to_regclass('archiver.archives') IS NOT NULL")
        if cursor.fetchall() != [(True,)]:
            return set()
        cursor.execute("SELECT location FROM archiver.archives")
        return {row[0] for row in cursor.fetchall()}


def _moves(world: World) -> list[tuple[str, str, int]]:
    """Return what the moves added: from, into, and the number."""
    with sql(world, "master") as cursor:
        cursor.execute("SELECT to_regclass('archiver.archives') IS NOT NULL")
        if cursor.fetchall() != [(True,)]:
            return []
        cursor.execute(
            "SELECT DISTINCT shard, target, (offsets -> 0 ->> 2)::bigint FROM archiver.archives WHERE kind = 'move'"
            " AND jsonb_array_length(offsets) = 1"
        )
        return cursor.fetchall()

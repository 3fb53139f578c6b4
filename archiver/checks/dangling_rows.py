"""Find live rows that refer to what months, moves and purges deleted: no foreign key and no lock prevented them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from archiver.catalog.activity_rules import Rules
from archiver.catalog.model import MASTER, SHARD, Link
from archiver.checks.purge_references import watch_of_purged
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.own_schema import ready
from archiver.records import month_record, move_record, purge_record, shard_keys
from archiver.records.markers import Marked
from archiver.records.month_record import Month
from archiver.records.move_record import Move
from archiver.records.state import State


def dangling_rows(databases: Databases) -> dict[str, int]:
    """Return the number of such rows, by the name of what deleted the row that they refer to."""
    if not ready(databases.master):
        return {}
    counts: Counter[str] = Counter()
    counts.update(dict(_of_months(databases)))
    counts.update(dict(_of_moves(databases)))
    counts.update(dict(_of_purges(databases)))
    return dict(sorted(counts.items()))


def _of_months(databases: Databases) -> Iterator[tuple[str, int]]:
    if not databases.model.catalog.activity:
        return
    rules, done = Rules(model=databases.model), (State.DELETING, State.ARCHIVED)
    months: dict[str, list[Month]] = defaultdict(list)
    for month in month_record.every(databases.master):
        if month.state in done:
            months[month.shard].append(month)
    for name, of_shard in months.items():
        links = [link for link in _unenforced(databases, name, rules.database) if link.parent in rules.tables]
        late, words = _late(databases, name, of_shard, links), Counter[str]()
        for month in of_shard:
            words[f"{month.month} of {name}"] += late[month.id]
        yield from ((word, rows) for word, rows in words.items() if rows)


def _of_moves(databases: Databases) -> Iterator[tuple[str, int]]:
    """Yield the moves of tenants that are not back on the source."""
    moves, noun = move_record.done(databases.master), databases.model.tenant.noun
    if not moves:
        return
    live = {tenant.id: tenant.shard for tenant in tenants.every(databases.master, databases.model.tenant)}
    sources: dict[str, list[Move]] = defaultdict(list)
    for move in moves:
        if live.get(move.tenant_id) != move.source:
            sources[move.source].append(move)
    for name, of_source in sources.items():
        late = _late(databases, name, of_source, [*_unenforced(databases, name, SHARD), *_across(databases)])
        for move in of_source:
            if late[move.id]:
                yield f"the move of {noun} {move.tenant_id} from {name} to {move.target}", late[move.id]


def _of_purges(databases: Databases) -> Iterator[tuple[str, int]]:
    purges = [purge for purge in purge_record.every(databases.master) if purge.state is State.ARCHIVED]
    if purges and databases.model.catalog.legacy:
        for number, rows in watch_of_purged(databases, purges).counts().items():
            yield f"purge {number}", rows


def _late(databases: Databases, name: str, records: Sequence[Marked], links: Iterable[Link]) -> Counter[int]:
    """Return by record the number of late rows in one database; none if it is no longer in the inventory."""
    by_table: dict[str, Counter[int]] = defaultdict(Counter)
    if name in (MASTER, *databases.shards) and ready(databases.session(name)):
        for link in links:
            schema = databases.schema(MASTER if link.parent.database == MASTER else name)
            late = shard_keys.late_rows(databases.session(name), schema, records, link)
            by_table[str(link.child)] |= Counter({number: rows for (number, _), rows in late.items()})
    return sum(by_table.values(), Counter[int]())


def _unenforced(databases: Databases, name: str, database: str) -> tuple[Link, ...]:
    in_inventory = name in (MASTER, *databases.shards)
    return shard_keys.unenforced(databases.model, databases.schema(name), database) if in_inventory else ()


def _across(databases: Databases) -> Iterator[Link]:
    """Yield the links by which rows of a shard are found through master."""
    for link in databases.model.links:
        if link.child.database == SHARD and link.parent.database == MASTER and len(link.columns) == 1:
            yield link

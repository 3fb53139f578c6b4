"""Check that today's tables, with the migrations in the inventory, still fit every archive: by schemas alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archiver.catalog.model import MASTER, SHARD, TableName
from archiver.extract.month import NO_TENANT
from archiver.format import layout
from archiver.load import fit
from archiver.mapping.schema_mapping import SchemaMapping, compare
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Schema
from archiver.records import archive_record, guards, month_record, slice_record
from archiver.records.archive_record import Record
from archiver.records.guards import GuardHistory, Guards, GuardsByTable
from archiver.records.month_record import Month
from archiver.records.placement_history import final_shard, placement_history, shards_of
from archiver.records.resolve import RESTORABLE
from archiver.store.schemas import StoredSchemas

_ONLY_ROWS = "inv restore.plan tells whether it forbids rows"


@dataclass(frozen=True, kw_only=True)
class SchemaPair:
    """One archived schema and the live database that its archives go into."""

    database: str  # master or shard
    fingerprint: str
    live: str  # the live database's inventory name


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """An archive, and its members with rows."""

    archive: Record | Month
    filled: frozenset[str]
    guards: GuardsByTable | None  # what its rows met; None: unknown


@dataclass(frozen=True, kw_only=True)
class Checked:
    """The result for the archives of one pair."""

    pair: SchemaPair
    today: str  # fingerprint of the live database
    archives: tuple[Record | Month, ...]
    problems: tuple[str, ...] = ()  # problems that follow from the schemas
    doubts: tuple[str, ...] = ()  # questions that only the rows can answer, and no migration does


def check_stored(databases: Databases, schemas: StoredSchemas, work: Path) -> list[Checked]:
    """Map every stored schema that a record of a tenant or month refers to onto the live databases.

    No archive is fetched.
    """
    by_pair: dict[SchemaPair, list[_Stored]] = {}
    guard_history = guards.history(databases.master)
    for pair, stored in (*_of_tenants(databases, guard_history), *_of_months(databases, guard_history)):
        by_pair.setdefault(pair, []).append(stored)
    return [_check(databases, pair, archives, schemas, work) for pair, archives in by_pair.items()]


def _of_tenants(databases: Databases, guard_history: GuardHistory) -> Iterator[tuple[SchemaPair, _Stored]]:
    """Yield the schema pairs of tenants' archives."""
    records = [record for record in archive_record.read_if_any(databases.master) if record.state in RESTORABLE]
    shards = shards_of(databases, records)
    for record in records:
        filled = frozenset(name for name, member in record.members.items() if member.rows)
        for database, fingerprint in zip((MASTER, SHARD), record.fingerprint.split("+"), strict=False):
            live = MASTER if database == MASTER else shards[record.id]
            pair = SchemaPair(database=database, fingerprint=fingerprint, live=live)
            met = guard_history.at(MASTER if database == MASTER else record.shard, record.turn)
            yield pair, _Stored(archive=record, filled=filled, guards=met)


def _of_months(databases: Databases, guard_history: GuardHistory) -> Iterator[tuple[SchemaPair, _Stored]]:
    """Yield the schema pairs of months' archives, which follow the archives of their shard."""
    history, filled = placement_history(databases.master), slice_record.members_with_rows(databases.master)
    for month in month_record.every(databases.master):
        if month.id in filled:
            live = final_shard(month.shard, history.relocations(NO_TENANT, month.shard, month.turn))
            database = MASTER if live == MASTER else SHARD
            pair = SchemaPair(database=database, fingerprint=month.fingerprint, live=live)
            met = guard_history.at(month.shard, month.turn)
            yield pair, _Stored(archive=month, filled=filled[month.id], guards=met)


def _check(
    databases: Databases, pair: SchemaPair, stored: Sequence[_Stored], schemas: StoredSchemas, work: Path
) -> Checked:
    """Check the archives of one pair."""
    archives = tuple(entry.archive for entry in stored)
    if pair.live not in (MASTER, *databases.shards):
        problem = f"{pair.live} is no longer in the inventory"
        return Checked(pair=pair, today="", archives=archives, problems=(problem,))
    live = databases.schema(pair.live)
    checked = Checked(pair=pair, today=live.fingerprint, archives=archives)
    if live.fingerprint == pair.fingerprint:
        same_names = {name: name for name in live.tables}
        return replace(checked, doubts=tuple(_came_since(databases, pair, stored, same_names)))
    archived = schemas.fetch(pair.fingerprint, work)
    if archived is None:
        problem = f"the store has no {layout.schema_key(pair.fingerprint)}: the archives are older than stored schemas"
        return replace(checked, problems=(problem,))
    mapping = _map(databases, pair, stored, archived)
    doubts = [doubt.sentence() for table in mapping.tables for doubt in table.doubts if not doubt.answered]
    doubts += _checks_since(mapping, live, stored)
    names = {table.source.table: table.target.table for table in mapping.tables}
    doubts += _came_since(databases, pair, stored, names)
    return replace(checked, problems=mapping.problems, doubts=tuple(doubts))


def _checks_since(mapping: SchemaMapping, live: Schema, stored: Sequence[_Stored]) -> Iterator[str]:
    """Yield a doubt for each check that an archived table with rows did not have."""
    filled = {name for entry in stored for name in entry.filled}
    for table in mapping.tables:
        archived = {text.removesuffix(" NOT VALID") for text in table.archived.constraints.values()}
        for name, text in live.tables[table.target.table].constraints.items():
            came = text.startswith("CHECK") and text.removesuffix(" NOT VALID") not in archived
            if came and layout.member(table.source) in filled:
                yield f"{table.target}: the constraint {name} came since: {_ONLY_ROWS}"


def _came_since(
    databases: Databases, pair: SchemaPair, stored: Sequence[_Stored], names: Mapping[str, str]
) -> Iterator[str]:
    """Yield a doubt for each unique or exclusion index that came, and partition that went, since rows were archived.

    `names` are today's names of the archived tables.
    """
    today = guards.read_guards(databases.session(pair.live), names.values())
    for source, target in names.items():
        member = layout.member(TableName(pair.database, source))
        filled = (entry for entry in stored if member in entry.filled)
        met = {entry.guards.get(source, Guards()) for entry in filled if entry.guards is not None}
        came = {change for earlier in met for change in today.get(target, Guards()).came_since(earlier)}
        yield from (f"{pair.database}.{target}: {change} since: {_ONLY_ROWS}" for change in sorted(came))


def _map(databases: Databases, pair: SchemaPair, stored: Sequence[_Stored], archived: Schema) -> SchemaMapping:
    """Map an archived schema onto the live one."""
    today = fit.today(databases.session(pair.live), databases.schema(pair.live))
    chain = fit.migrations_between(databases.migrations, pair.database, archived, today.schema)
    filled = [
        name
        for name in archived.tables
        if any(layout.member(TableName(pair.database, name)) in entry.filled for entry in stored)
    ]
    return compare(pair.database, archived, today, chain, filled)

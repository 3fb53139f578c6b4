"""Whether today's tables, with the migrations that are written, still take every archive: from schemas alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archiver.catalog.model import MASTER, SHARD, TableName
from archiver.extract.month import NO_TENANT
from archiver.format import layout
from archiver.load import fit
from archiver.mapping.schema_mapping import SchemaMapping, compare
from archiver.postgres.databases import Databases
from archiver.postgres.schema import Schema
from archiver.records import archive_record, month_record, slice_record
from archiver.records.archive_record import Record
from archiver.records.month_record import Month
from archiver.records.placement_history import final_shard, placement_history, shards_of
from archiver.records.resolve import RESTORABLE
from archiver.store.schemas import StoredSchemas


@dataclass(frozen=True, kw_only=True)
class SchemaPair:
    """The archives of one fingerprint that go into one live database."""

    database: str  # master or shard
    fingerprint: str
    live: str  # the live database's inventory name


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """An archive, and which of its members hold rows."""

    archive: Record | Month
    filled: frozenset[str]


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a look at the archives of one kind came to."""

    kind: SchemaPair
    today: str  # fingerprint of the live database
    archives: tuple[Record | Month, ...]
    problems: tuple[str, ...] = ()  # what the schemas forbid
    doubts: tuple[str, ...] = ()  # what only the rows can tell, and no migration speaks of


def check_stored(databases: Databases, schemas: StoredSchemas, work: Path) -> list[Checked]:
    """Maps every stored schema that a record names, of a tenant or of a month, onto the live databases; no archive is
    fetched."""
    found: dict[SchemaPair, list[_Stored]] = {}
    for kind, stored in (*_of_tenants(databases), *_of_months(databases)):
        found.setdefault(kind, []).append(stored)
    return [_check(databases, kind, archives, schemas, work) for kind, archives in found.items()]


def _of_tenants(databases: Databases) -> Iterator[tuple[SchemaPair, _Stored]]:
    wanted = [record for record in archive_record.read_if_any(databases.master) if record.state in RESTORABLE]
    shards = shards_of(databases, wanted)
    for record in wanted:
        filled = frozenset(name for name, member in record.members.items() if member.rows)
        for database, fingerprint in zip((MASTER, SHARD), record.fingerprint.split("+"), strict=False):
            live = MASTER if database == MASTER else shards[record.id]
            kind = SchemaPair(database=database, fingerprint=fingerprint, live=live)
            yield kind, _Stored(archive=record, filled=filled)


def _of_months(databases: Databases) -> Iterator[tuple[SchemaPair, _Stored]]:
    """Past months go where the archives of their shard go."""
    known, filled = placement_history(databases.master), slice_record.members_with_rows(databases.master)
    for month in month_record.every(databases.master):
        if month.id in filled:
            live = final_shard(month.shard, known.relocations(NO_TENANT, month.shard, month.started_at))
            database = MASTER if live == MASTER else SHARD
            kind = SchemaPair(database=database, fingerprint=month.fingerprint, live=live)
            yield kind, _Stored(archive=month, filled=filled[month.id])


def _check(
    databases: Databases, kind: SchemaPair, stored: Sequence[_Stored], schemas: StoredSchemas, work: Path
) -> Checked:
    archives = tuple(one.archive for one in stored)
    if kind.live not in (MASTER, *databases.shards):
        gone = f"{kind.live} is not in the inventory any more"
        return Checked(kind=kind, today="", archives=archives, problems=(gone,))
    live = databases.schema(kind.live)
    checked = Checked(kind=kind, today=live.fingerprint, archives=archives)
    if live.fingerprint == kind.fingerprint:
        return checked
    archived = schemas.fetch(kind.fingerprint, work)
    if archived is None:
        gone = f"the store has no {layout.schema_key(kind.fingerprint)}: the archives are from before it was kept"
        return replace(checked, problems=(gone,))
    mapping = _map(databases, kind, stored, archived)
    doubts = [doubt.sentence() for table in mapping.tables for doubt in table.doubts if not doubt.answered]
    return replace(checked, problems=mapping.problems, doubts=tuple(doubts))


def _map(databases: Databases, kind: SchemaPair, stored: Sequence[_Stored], archived: Schema) -> SchemaMapping:
    today = fit.today(databases.session(kind.live), databases.schema(kind.live))
    chain = fit.migrations_between(databases.migrations, kind.database, archived, today.schema)
    filled = [
        name
        for name in archived.tables
        if any(layout.member(TableName(kind.database, name)) in one.filled for one in stored)
    ]
    return compare(kind.database, archived, today, chain, filled)

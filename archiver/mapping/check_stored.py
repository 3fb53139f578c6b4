"""Whether today's tables, with the migrations that are written, still take every archive: from schemas alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from archiver import layout, records
from archiver.catalog import MASTER, SHARD, TableName
from archiver.choice import BACK
from archiver.mapping import fit
from archiver.mapping.schema_mapping import SchemaMapping, compare
from archiver.mapping.stored_schemas import StoredSchemas
from archiver.moving.whereabouts import shards_of
from archiver.records import Record
from archiver.schema import Schema
from archiver.workplace import Workplace


@dataclass(frozen=True, kw_only=True)
class Kind:
    """The archives of one fingerprint that go into one live database."""

    database: str  # master or shard
    fingerprint: str
    live: str  # the live database's inventory name


@dataclass(frozen=True, kw_only=True)
class Checked:
    """What a look at the archives of one kind came to."""

    kind: Kind
    today: str  # fingerprint of the live database
    archives: tuple[Record, ...]
    problems: tuple[str, ...] = ()  # what the schemas forbid
    doubts: tuple[str, ...] = ()  # what only the rows can tell, and no migration speaks of


def check_stored(place: Workplace, schemas: StoredSchemas, work: Path) -> list[Checked]:
    """Maps every stored schema that a record names onto the live databases; no archive is fetched."""
    wanted = [record for record in records.read_if_any(place.master) if record.state in BACK]
    return [_check(place, kind, archives, schemas, work) for kind, archives in _by_kind(place, wanted).items()]


def _by_kind(place: Workplace, archives: Sequence[Record]) -> Mapping[Kind, list[Record]]:
    found: dict[Kind, list[Record]] = {}
    shards = shards_of(place, archives)
    for record in archives:
        for database, fingerprint in zip((MASTER, SHARD), record.fingerprint.split("+"), strict=False):
            live = MASTER if database == MASTER else shards[record.id]
            found.setdefault(Kind(database=database, fingerprint=fingerprint, live=live), []).append(record)
    return found


def _check(place: Workplace, kind: Kind, archives: Sequence[Record], schemas: StoredSchemas, work: Path) -> Checked:
    if kind.live not in (MASTER, *place.shards):
        gone = f"{kind.live} is not in the inventory any more"
        return Checked(kind=kind, today="", archives=tuple(archives), problems=(gone,))
    live = place.schema(kind.live)
    checked = Checked(kind=kind, today=live.fingerprint, archives=tuple(archives))
    if live.fingerprint == kind.fingerprint:
        return checked
    archived = schemas.fetch(kind.fingerprint, work)
    if archived is None:
        gone = f"the store has no {layout.schema_key(kind.fingerprint)}: the archives are from before it was kept"
        return replace(checked, problems=(gone,))
    mapping = _map(place, kind, archives, archived)
    doubts = [doubt.told() for table in mapping.tables for doubt in table.doubts if not doubt.answered]
    return replace(checked, problems=mapping.problems, doubts=tuple(doubts))


def _map(place: Workplace, kind: Kind, archives: Sequence[Record], archived: Schema) -> SchemaMapping:
    today = fit.today(place.session(kind.live), place.schema(kind.live))
    chain = fit.migrations_between(place.migrations, kind.database, archived, today.schema)
    filled = [name for name in archived.tables if _filled(TableName(kind.database, name), archives)]
    return compare(kind.database, archived, today, chain, filled)


def _filled(table: TableName, archives: Iterable[Record]) -> bool:
    member = layout.member(table)
    return any(member in record.members and record.members[member].rows for record in archives)

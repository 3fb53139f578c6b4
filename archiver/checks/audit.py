"""Audit a night: is every selected tenant archived, its object in the store, and are all of its rows deleted?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date

from archiver.catalog.model import MASTER, Link, TableName
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.schema import identifier
from archiver.postgres.selection import among, narrowed
from archiver.postgres.session import SQL, Identifier, Session
from archiver.postgres.tenants import Exclude
from archiver.records import archive_record, deleted_keys
from archiver.records.archive_record import ArchiveState, Record
from archiver.store.bucket import Bucket
from archiver.store.standing import missing_objects


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The result of an audit."""

    selected: int  # tenants that the night had to archive
    archived: int  # of these, with an archive of this night
    excluded: int
    unarchived: tuple[int, ...]  # tenants without an archive, and interrupted ones, even if excluded meanwhile
    left: dict[int, int]  # by tenant: live rows that should have been deleted
    rows: int  # in the archives
    size: int  # bytes of the tarballs
    missing: tuple[int, ...]  # archived tenants whose object is not in the store as it was put


def audit(databases: Databases, bucket: Bucket, year: int, night: date, exclude: Exclude) -> Audit:
    """Compare the records of a night with the live rows and the store's objects.

    Tenants archived by an earlier night of the year count as done. Raises StorageError if the store can't be asked.
    """
    of_year = archive_record.of_year(databases.master, year)
    earlier = [record for record in of_year if record.state is ArchiveState.ARCHIVED]
    interrupted = {
        record.tenant_id for record in of_year if record.state in (ArchiveState.DELETING, ArchiveState.RESTORING)
    }
    done = [record for record in earlier if record.night == night]
    ids = {record.tenant_id for record in earlier}
    table = databases.model.tenant
    selected = tenants.all_but(databases.master, table, exclude)
    all_tenants = tenants.all_but(databases.master, table, Exclude())
    unarchived = tuple(sorted({tenant.id for tenant in selected if tenant.id not in ids} | interrupted))
    return Audit(
        selected=len(done) + len(unarchived),
        archived=len(done),
        excluded=len(all_tenants) - len(selected),
        unarchived=unarchived,
        left=_left(databases, year, earlier),
        rows=sum(record.rows for record in done),
        size=sum(record.size or 0 for record in done),
        missing=_missing(bucket, earlier),
    )


def _missing(bucket: Bucket, archived: Sequence[Record]) -> tuple[int, ...]:
    objects = missing_objects(bucket, archived)
    return tuple(sorted(record.tenant_id for record in archived if record.location in objects))


def _left(databases: Databases, year: int, done: Iterable[Record]) -> dict[int, int]:
    """Return by tenant the live rows that refer to a deleted row, beyond those retained for another tenant."""
    left: Counter[int] = Counter()
    retained = {record.tenant_id: record.kept for record in done}
    for table in databases.model.tables:
        counts: Counter[int] = Counter()
        for link in _followed(databases, table):
            counts |= _referring_rows(databases, link, deleted_keys.of_table(databases.master, year, link.parent.table))
        for tenant_id, rows in counts.items():
            left[tenant_id] += max(0, rows - retained[tenant_id].get(str(table), 0))
    return {tenant_id: rows for tenant_id, rows in sorted(left.items()) if rows}


def _followed(databases: Databases, table: TableName) -> list[Link]:
    """Return the links to rows of master whose keys were recorded when they were deleted."""
    tables = databases.schema(MASTER).tables
    return [
        link
        for link in databases.model.found_by(table)
        if link.parent.database == MASTER
        and tables[link.parent.table].primary_key == link.parent_columns == link.parent_columns[:1]
    ]


def _referring_rows(databases: Databases, link: Link, deleted_keys: dict[int, list[int]]) -> Counter[int]:
    """Return by tenant the number of live rows that refer to a deleted row."""
    owner = {key: tenant_id for tenant_id, keys in deleted_keys.items() for key in keys}
    names = [MASTER] if link.child.database == MASTER else list(databases.shards)
    counts: Counter[int] = Counter()
    for name in names if owner else []:
        for key, rows in _count(databases.session(name), databases, name, link, owner):
            counts[owner[key]] += rows
    return counts


def _count(
    session: Session, databases: Databases, name: str, link: Link, owner: dict[int, int]
) -> list[tuple[int, int]]:
    """Count the rows of one database that refer to deleted rows, by key."""
    shape = databases.schema(name).tables[link.child.table]
    query = SQL("SELECT {}, count(*) FROM {} WHERE {} GROUP BY 1").format(
        Identifier(*link.columns),
        identifier(link.child.table),
        narrowed(among(shape, link.columns, owner), link),
    )
    rows: list[tuple[int, int]] = session.rows(query, doing=f"finding rows left in {link.child}")
    return rows

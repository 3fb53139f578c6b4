"""Looks at the live databases after a night: is every selected tenant archived, and is none of its rows left?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
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


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a night came to."""

    selected: int  # tenants that the night was to archive
    archived: int  # of them, with a record of this year
    excluded: int
    unarchived: tuple[int, ...]  # tenants without one, and those that stand half-way, excluded meanwhile or not
    left: dict[int, int]  # tenant: live rows that should have gone
    rows: int  # in the archives
    size: int  # bytes of the tarballs


def audit(databases: Databases, year: int, night: date, exclude: Exclude) -> Audit:
    """Holds the records of a night against what is live; tenants of the year's earlier nights need nothing more."""
    of_year = archive_record.of_year(databases.master, year)
    earlier = [record for record in of_year if record.state is ArchiveState.ARCHIVED]
    half_way = {
        record.tenant_id for record in of_year if record.state in (ArchiveState.DELETING, ArchiveState.RESTORING)
    }
    done = [record for record in earlier if record.night == night]
    ids = {record.tenant_id for record in earlier}
    table = databases.model.tenant
    wanted = tenants.all_but(databases.master, table, exclude)
    everybody = tenants.all_but(databases.master, table, Exclude())
    unarchived = tuple(sorted({tenant.id for tenant in wanted if tenant.id not in ids} | half_way))
    return Audit(
        selected=len(done) + len(unarchived),
        archived=len(done),
        excluded=len(everybody) - len(wanted),
        unarchived=unarchived,
        left=_left(databases, year, earlier),
        rows=sum(record.rows for record in done),
        size=sum(record.size or 0 for record in done),
    )


def _left(databases: Databases, year: int, done: Iterable[Record]) -> dict[int, int]:
    """Live rows that name a deleted row, beyond those kept because another tenant shares them."""
    left: Counter[int] = Counter()
    kept = {record.tenant_id: record.kept for record in done}
    for table in databases.model.tables:
        found: Counter[int] = Counter()
        for link in _followed(databases, table):
            found |= _naming(databases, link, deleted_keys.of_table(databases.master, year, link.parent.table))
        for tenant_id, rows in found.items():
            left[tenant_id] += max(0, rows - kept[tenant_id].get(str(table), 0))
    return {tenant_id: rows for tenant_id, rows in sorted(left.items()) if rows}


def _followed(databases: Databases, table: TableName) -> list[Link]:
    """The links to rows of master whose keys were noted when they were deleted."""
    tables = databases.schema(MASTER).tables
    return [
        link
        for link in databases.model.found_by(table)
        if link.parent.database == MASTER
        and tables[link.parent.table].primary_key == link.parent_columns == link.parent_columns[:1]
    ]


def _naming(databases: Databases, link: Link, gone: dict[int, list[int]]) -> Counter[int]:
    """How many live rows name a deleted row, by tenant."""
    owner = {key: tenant_id for tenant_id, keys in gone.items() for key in keys}
    names = [MASTER] if link.child.database == MASTER else list(databases.shards)
    found: Counter[int] = Counter()
    for name in names if owner else []:
        for key, rows in _count(databases.session(name), databases, name, link, owner):
            found[owner[key]] += rows
    return found


def _count(
    session: Session, databases: Databases, name: str, link: Link, owner: dict[int, int]
) -> list[tuple[int, int]]:
    shape = databases.schema(name).tables[link.child.table]
    query = SQL("SELECT {}, count(*) FROM {} WHERE {} GROUP BY 1").format(
        Identifier(*link.columns),
        identifier(link.child.table),
        narrowed(among(shape, link.columns, owner), link),
    )
    rows: list[tuple[int, int]] = session.rows(query, doing=f"looking for rows left in {link.child}")
    return rows

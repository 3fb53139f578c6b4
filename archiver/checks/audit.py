"""Audit a night: is every selected tenant archived, its object in the store, and are all of its rows deleted?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from archiver.checks.dangling_rows import dangling_rows
from archiver.checks.left_rows import left_rows
from archiver.checks.unknown_references import unknown_references
from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.tenants import TenantFilter
from archiver.records import archive_record
from archiver.records.archive_record import Record
from archiver.records.state import State
from archiver.store.bucket import Bucket
from archiver.store.standing import missing_objects
from inventory.keys import Key, key_order


@dataclass(frozen=True, kw_only=True)
class Audit:
    """The result of an audit."""

    selected: int  # tenants that the night had to archive
    archived: int  # of these, with an archive of this night
    excluded: int
    unarchived: tuple[Key, ...]  # tenants without an archive, and interrupted ones, even if excluded meanwhile
    left: dict[Key, int]  # by tenant: live rows that should have been deleted
    rows: int  # in the archives
    size: int  # bytes of the tarballs
    missing: tuple[Key, ...]  # archived tenants whose object is not in the store as it was put
    elsewhere: dict[str, int]  # by column that the catalog does not know: live rows that refer to deleted ones
    otherwise: dict[Key, str]  # by tenant: the depth of its record, where the night says another
    dangling: dict[str, int]  # by month, move or purge: live rows that refer to what it deleted


def audit(
    databases: Databases, bucket: Bucket, year: int, night: date, chosen: TenantFilter, depth: str | None = None
) -> Audit:
    """Compare the records of a night with the live rows and the store's objects.

    `depth` is the night's; None: any depth is right. Tenants archived by an earlier night of the year count as done.
    Raises StorageError if the store can't be asked.
    """
    of_year = archive_record.of_year(databases.master, year)
    earlier = [record for record in of_year if record.state is State.ARCHIVED]
    interrupted = {record.tenant_id for record in of_year if record.state in (State.DELETING, State.RESTORING)}
    done = [record for record in earlier if record.night == night]
    ids = {record.tenant_id for record in earlier}
    table = databases.model.tenant
    selected = tenants.taken(databases.master, table, chosen)
    all_tenants = tenants.every(databases.master, table)
    unarchived = {tenant.id for tenant in selected if tenant.id not in ids} | interrupted
    left = {tenant_id: sum(rows.values()) for tenant_id, rows in left_rows(databases, earlier).items()}
    return Audit(
        selected=len(done) + len(unarchived),
        archived=len(done),
        excluded=len(all_tenants) - len(selected),
        unarchived=tuple(sorted(unarchived, key=key_order)),
        left={tenant_id: left[tenant_id] for tenant_id in sorted(left, key=key_order)},
        rows=sum(record.rows for record in done),
        size=sum(record.size or 0 for record in done),
        missing=_missing(bucket, earlier),
        elsewhere=unknown_references(databases, earlier),
        otherwise={
            record.tenant_id: record.depth
            for record in done
            if depth and record.depth != (chosen.own_depths.of(record.tenant_id, record.customer_id) or depth)
        },
        dangling=dangling_rows(databases),
    )


def _missing(bucket: Bucket, archived: Sequence[Record]) -> tuple[Key, ...]:
    objects = missing_objects(bucket, archived)
    return tuple(sorted((each.tenant_id for each in archived if each.location in objects), key=key_order))

"""All kinds of archives, by their word in the ledger, and the archives of all kinds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from archiver.kinds.legacy_users import LegacyUsersKind
from archiver.kinds.month import MonthKind
from archiver.kinds.shard_move import ShardMoveKind
from archiver.kinds.tenant import TenantKind
from archiver.postgres.session import Session
from archiver.records import archives
from archiver.records.archives import ArchiveRecord
from archiver.records.state import Kind
from archiver.runs.kind import ArchiveKind, ArchiveOfKind

_ALL: Sequence[ArchiveKind] = (TenantKind(), MonthKind(), LegacyUsersKind(), ShardMoveKind())
KINDS: Mapping[Kind, ArchiveKind] = {each.kind: each for each in _ALL}


def of_kind(record: ArchiveRecord) -> ArchiveOfKind:
    """Return an archive with its kind."""
    return ArchiveOfKind(kind=KINDS[record.kind], record=record)


def openable(master: Session, year: int | None) -> tuple[ArchiveOfKind, ...]:
    """Return every archive that may hold rows which are nowhere else, of one year or of all, whatever its kind."""
    recorded = map(of_kind, archives.every(master))
    return tuple(
        each for each in recorded if each.record.state in each.kind.openable and year in (None, each.record.year)
    )


def archive_of(master: Session, tenant_record_id: int) -> ArchiveOfKind:
    """Return a tenant's archive by the id of its record, which must exist."""
    [record] = archives.of_kind(master, Kind.TENANT, "id = %s", (tenant_record_id,))
    return of_kind(record)

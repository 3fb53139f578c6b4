"""All kinds of archives, by their word in the ledger, and the archives of all kinds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from archiver.kinds.legacy_users import LegacyUsersKind
from archiver.kinds.month import MonthKind
from archiver.kinds.shard_move import ShardMoveKind
from archiver.kinds.tenant import TenantKind
from archiver.postgres.databases import Databases
from archiver.postgres.session import Session
from archiver.records import archives
from archiver.records.archive_record import Record
from archiver.records.archives import ArchiveRecord
from archiver.records.state import Kind
from archiver.runs.kind import ArchiveKind, ArchiveOfKind
from errors import RefusedError, UsageError
from inventory.keys import Key

_ALL: Sequence[ArchiveKind] = (TenantKind(), MonthKind(), LegacyUsersKind(), ShardMoveKind())
KINDS: Mapping[Kind, ArchiveKind] = {each.kind: each for each in _ALL}

LOCATION = "s3://"  # so begins the location of every archive, and no key that a command names
OneRecord = Callable[[Databases, Key, int | None], Record]


def of_kind(record: ArchiveRecord) -> ArchiveOfKind:
    """Return an archive with its kind."""
    return ArchiveOfKind(kind=KINDS[record.kind], record=record)


def openable(master: Session, year: int | None) -> tuple[ArchiveOfKind, ...]:
    """Return every archive that may hold rows which are nowhere else, of one year or of all, whatever its kind."""
    recorded = map(of_kind, archives.every(master))
    return tuple(
        each for each in recorded if each.record.state in each.kind.openable and year in (None, each.record.year)
    )


def chosen(databases: Databases, word: str, year: int | None, record_of: OneRecord) -> ArchiveOfKind:
    """Return the archive that a typed word means: a location of any kind, or a tenant's key, with a year of several.

    `record_of` returns a tenant's record by its key and year, or raises UsageError. So does this function if no record
    names the location, or nothing is stored yet.
    """
    if not word.startswith(LOCATION):
        return archive_of(databases.master, record_of(databases, databases.key_typed(word), year).id)
    archive = _at(databases.master, word)
    if archive.record.kind is Kind.TENANT:
        return archive_of(databases.master, record_of(databases, archive.record.key, archive.record.year).id)
    if archive.record.sha256 is None:
        raise UsageError(f"{word} is {archive.record.state.value}: nothing is stored there yet.")
    return archive


def _at(master: Session, location: str) -> ArchiveOfKind:
    for record in archives.every(master, "location = %s", (location,)):
        return of_kind(record)
    lists = "inv archive.show, inv activity.list and inv users.purges show what they name."
    raise UsageError(f"No record names {location}.", hint=lists)


def archive_of(master: Session, tenant_record_id: int) -> ArchiveOfKind:
    """Return a tenant's archive by the id of its record; raise RefusedError if that was deleted meanwhile."""
    for record in archives.of_kind(master, Kind.TENANT, "id = %s", (tenant_record_id,)):
        return of_kind(record)
    raise RefusedError("The archive was restored or dropped meanwhile: it has no record any more. Nothing was changed.")

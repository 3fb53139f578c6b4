"""Purge legacy users from master, and restore a purge: the rows, the record and the refusals that are theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from archiver.catalog.model import MASTER, Model, TableName
from archiver.checks.purge_references import Watch, watch_of
from archiver.checks.purge_tables import legacy_placement, model_of
from archiver.format import layout
from archiver.format.manifest import Manifest
from archiver.load.load import Loaded
from archiver.postgres.databases import Databases, Placement
from archiver.postgres.schema import identifier
from archiver.postgres.selection import SelectedRows, among
from archiver.postgres.session import SQL, Composable
from archiver.records import purge_record, shard_keys
from archiver.records.purge_record import Purge
from archiver.records.state import State
from archiver.runs.context import Archiver, new_extraction
from archiver.runs.pipeline import AGAIN, bring_back, take_out
from archiver.runs.settle import settle
from archiver.store.bucket import StoredDigests
from errors import RefusedError, UsageError


@dataclass(frozen=True, kw_only=True)
class LegacyGroup:
    """The legacy users of one purge, with the model and placement by which their rows are found."""

    placement: Placement
    model: Model
    ids: Sequence[int]

    def where(self, table: TableName) -> Composable:
        """SQL: a row of the table belongs to these users."""
        links, shape = self.model.found_by(table), self.placement.schemas[MASTER].tables[table.table]
        columns = links[0].columns if links else self.model.tenant.key_columns
        return among(shape, columns, self.ids)


@dataclass(frozen=True, kw_only=True)
class Purged:
    """A completed purge."""

    purge: Purge
    late: Mapping[int, list[str]]  # deleted users referenced by rows added after the last check, with those references


def group_of(databases: Databases, ids: Sequence[int]) -> LegacyGroup:
    """Return the group of these users."""
    model = model_of(databases.model)
    return LegacyGroup(placement=legacy_placement(databases, model), model=model, ids=ids)


def sizes(group: LegacyGroup) -> dict[str, tuple[int, int]]:
    """Return the rows and bytes to delete, by table."""
    query = SQL("SELECT count(*), coalesce(sum(pg_column_size(t.*)), 0)::bigint FROM {} t WHERE {}")
    return {
        table.table: group.placement.master.row(query.format(identifier(table.table), group.where(table)))
        for table in group.model.tables
    }


def purge(archiver: Archiver, group: LegacyGroup, before: datetime, year: int) -> Purged:
    """Archive these users together, verify what the store returns, and delete them from master: all or none.

    The caller holds the locks, and has excluded users referenced by live rows. Raises RefusedError if a user has been
    referenced since, or a row changed since it was archived.
    """
    settle(archiver, archiver.databases.shards)
    books = PurgeBooks(databases=archiver.databases, group=group, before=before, year=year)
    done, watch = take_out(archiver, group, books)
    return Purged(purge=done, late=watch.references())


def restore(archiver: Archiver, number: int) -> dict[str, Loaded]:
    """Restore the users of a purge in one transaction; a user who is live already stays unchanged.

    Raises UsageError if there is no such purge or it was restored, DamagedError if the archive is not what was stored.
    """
    settle(archiver, archiver.databases.shards)
    record, master = _purged(archiver, number), archiver.databases.master

    def ended() -> None:
        purge_record.restored(master, record)
        shard_keys.forget(master, record)

    return bring_back(archiver, group_of(archiver.databases, record.ids), record, f"restoring purge {number}", ended)


def new_location(archiver: Archiver, year: int, number: int) -> str:
    """Return an unused location in the store for a purge."""
    encrypted = bool(archiver.keys.recipients)
    return archiver.bucket.location(layout.purge_key(year, number, new_extraction(), encrypted=encrypted))


def _purged(archiver: Archiver, number: int) -> Purge:
    for record in purge_record.every(archiver.databases.master):
        if record.id == number and record.state is State.ARCHIVED:
            return record
        if record.id == number:
            raise UsageError(f"Purge {number} is {record.state.value}: there are no users to restore.")
    raise UsageError(f"There is no purge {number}.", hint="inv users.purges lists them.")


@dataclass(frozen=True, kw_only=True)
class PurgeBooks:
    """The record of a purge, and the references that keep its users."""

    databases: Databases
    group: LegacyGroup
    before: datetime
    year: int
    operation: str = "Purging"

    def begin(self, archiver: Archiver) -> Purge:
        """Write the record of a new purge."""
        recipients = archiver.keys.recipients
        return purge_record.start(self.databases.master, self.year, self.before, self.group.ids, recipients)

    def describe(self, record: Purge) -> str:
        """Return the users in words."""
        return f"{len(record.ids)} legacy users not seen since {record.before:%Y-%m-%d}"

    def completed(self, record: Purge, manifest: Manifest) -> Manifest:
        """Return the manifest with the day since which the users were not seen."""
        return replace(manifest, before=record.before.isoformat())

    def doing(self, record: Purge) -> str:
        """Return the act of the deletion."""
        return f"deleting the users of purge {record.id}"

    def new_location(self, archiver: Archiver, record: Purge) -> str:
        """Return an unused location in the store."""
        return new_location(archiver, record.year, record.id)

    def stored(self, record: Purge, location: str, manifest: Manifest, digests: StoredDigests) -> Purge:
        """Write that the tarball is in the store."""
        return purge_record.stored(self.databases.master, record, location, manifest, digests)

    def verified(self, record: Purge) -> Purge:
        """Write that it was restored and compared."""
        return purge_record.verified(self.databases.master, record)

    def watch(self) -> Watch:
        """Return the watch on references to the users."""
        return watch_of(self.databases, self.group.ids)

    def refuse(self, watch: Watch) -> None:
        """Raise RefusedError if a live row refers to one of them by now."""
        if references := watch.references():
            names = "; ".join(f"{number} by {', '.join(by)}" for number, by in references.items())
            raise RefusedError(f"Purging refused: users are referenced by now: {names}.", hint=AGAIN)

    def deleted(self, record: Purge, rows: Mapping[TableName, SelectedRows]) -> Purge:
        """Write that the users are deleted, and the keys by which late rows are found."""
        master = self.databases.master
        shard_keys.remember_rows(master, self.group.placement.schemas[MASTER], record, rows)
        return purge_record.purged(master, record)

"""An archive that the store has and the ledger does not, as it is to be recorded, by its kind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from archiver.catalog.model import TableName
from archiver.format.manifest import Manifest
from archiver.postgres.schema import Schema
from archiver.postgres.selection import SelectedRows
from archiver.records.archive_record import Record
from archiver.records.claims import SliceClaim
from archiver.records.id_offsets import Offsets
from archiver.records.month_record import Month
from archiver.records.move_record import Route
from archiver.records.purge_record import Purge
from archiver.records.retained_rows import RetainedRow
from archiver.records.slice_record import Slice
from archiver.records.state import Kind, State
from archiver.store.bucket import StoredDigests
from inventory.keys import Key

UNKNOWN_KEYS = ["unknown"]  # in place of recipients: an encrypted file does not tell them
REPLACEABLE = (State.EXTRACTING, State.STORED, State.VERIFIED)  # nothing is deleted by these records


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """The record that the ledger is to get of a tenant's archive."""

    manifest: Manifest
    location: str
    digests: StoredDigests
    id: int | None  # of the record that master lost, by the shard's marker; None: a new one
    started_at: datetime
    archived_at: datetime | None
    depth: str
    night: str | None
    turn: int | None  # by the shard's marker; None: a new one
    state: State  # DELETING: the shard's rows are gone, master's are live; ARCHIVED
    live: Mapping[str, int]  # rows, by table
    retained: Sequence[RetainedRow]
    ids: Mapping[str, list[Key]]  # of rows of master, by table
    deleted: Mapping[str, list[Key]]  # of those, the ones that are not live


@dataclass(frozen=True, kw_only=True)
class MonthAdoption:
    """The record that the ledger is to get of past months' activity, with the slices whose rows are only there."""

    month: str
    year: int
    before: datetime
    shard: str
    location: str
    fingerprint: str
    digests: StoredDigests
    id: int
    started_at: datetime
    archived_at: datetime
    turn: int | None  # by the shard's markers; None: a new one
    encrypted: bool
    positions: Sequence[SlicePosition]
    dropped: Sequence[SliceClaim] = ()  # of the same run: their object is gone, and this one lacks them

    @property
    def state(self) -> State:
        """The state of its record."""
        return State.ARCHIVED


@dataclass(frozen=True, kw_only=True)
class SlicePosition:
    """A slice in a month's object, and what a shard's marker says of its rows."""

    claim: SliceClaim
    start: int
    size: int
    sha256: str
    rows: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Repointing:
    """A record whose object is gone, as it is to be: it names the object that was written anew in its place."""

    kind: Kind
    record: Record | Month | Purge
    slices: Sequence[Slice] = ()  # of a month, where they are in that object
    dropped: Sequence[Slice] = ()  # of a month, as they were: a drop took them out

    @property
    def state(self) -> State:
        """The state of the record, which stays."""
        return self.record.state


@dataclass(frozen=True, kw_only=True)
class PurgeAdoption:
    """The record that the ledger is to get of a purge of legacy users that has all their rows."""

    manifest: Manifest
    location: str
    digests: StoredDigests
    before: datetime
    ids: Sequence[int]  # of the users
    started_at: datetime
    schema: Schema  # of master today
    deleted: Mapping[TableName, SelectedRows]  # their keys

    @property
    def state(self) -> State:
        """The state of its record."""
        return State.ARCHIVED


@dataclass(frozen=True, kw_only=True)
class MoveAdoption:
    """The record that the ledger is to get of a tenant's move to another shard."""

    manifest: Manifest
    location: str
    digests: StoredDigests
    id: int  # of the record that master lost, by the shards' markers
    started_at: datetime
    route: Route
    offsets: Offsets
    switched_at: datetime | None
    turn: int | None
    state: State  # LOADING: master names the source; SWITCHED; MOVED: the source is empty


Adoptable = Adoption | MonthAdoption | PurgeAdoption | MoveAdoption | Repointing

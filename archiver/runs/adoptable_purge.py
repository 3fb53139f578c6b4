"""Decide what the ledger is to say of a purge's archive that no record names, by the live rows and other purges."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, replace
from datetime import datetime

from archiver.catalog.model import MASTER, Model, TableName
from archiver.checks.purge_tables import legacy_placement, model_of
from archiver.format import encryption, layout
from archiver.format.bundle import Archive
from archiver.format.copied_keys import keys_in
from archiver.postgres.databases import Placement
from archiver.postgres.selection import SelectedRows
from archiver.records import purge_record
from archiver.records.adoption import UNKNOWN_KEYS, PurgeAdoption, Repointing
from archiver.records.purge_record import Purge
from archiver.records.state import Kind, State
from archiver.runs.adoptable import LATER, UNCHANGED, extracted_at, partly_live
from archiver.runs.adopter import Adopter
from archiver.runs.archived_rows import archived_rows
from archiver.store.bucket import StoredDigests, StoredObject
from errors import RefusedError


def purge_adoption(
    adopter: Adopter, archive: Archive, stored: StoredObject, digests: StoredDigests
) -> PurgeAdoption | Repointing | str:
    """Return what the ledger is to say of a purge, or why it needs no record; raise RefusedError if it can't say.

    Of purges that no record names, the caller compares the users.
    """
    model = model_of(adopter.databases.model)
    placement, users = legacy_placement(adopter.databases, model), users_in(adopter, archive)
    if repointing := _repointing(adopter, archive, stored, digests):
        return repointing
    if reason := _recorded(adopter, archive, stored, users):
        return reason
    rows = archived_rows(placement, model, archive)
    live, archived = rows.counts(frozenset({model.root}))
    if live == archived:
        return "its rows are live"
    if live := rows.counts(frozenset(model.tables))[0]:
        raise partly_live(stored, f"{live} of {archive.manifest.rows} rows are")
    return PurgeAdoption(
        manifest=archive.manifest,
        location=stored.location,
        digests=digests,
        before=_before(archive, stored),
        ids=sorted(users),
        started_at=extracted_at(stored),
        schema=placement.schemas[MASTER],
        deleted=_deleted(placement, model, archive),
    )


def users_in(adopter: Adopter, archive: Archive) -> set[int]:
    """Return the ids of the users in the archive of a purge."""
    model = model_of(adopter.databases.model)
    return {int(str(each)) for each in keys_in(archive, model.root, model.tenant.key_columns)}


def refuse_shared(stored: StoredObject, users: Collection[int], other: StoredObject, theirs: Collection[int]) -> None:
    """Raise RefusedError if two purges that no record names have one user: which was restored, nothing says."""
    if both := sorted({*users} & {*theirs}):
        raise RefusedError(
            f"{stored.location} and {other.location} both have the user {both[0]}. {UNCHANGED}",
            hint="The later has the later rows. Move the earlier away if it has no other users, and run again.",
        )


def _repointing(adopter: Adopter, archive: Archive, stored: StoredObject, digests: StoredDigests) -> Repointing | None:
    """Return the record of the purge with this object, if its own is gone and both have the same rows."""
    for record in _of_number(adopter, archive):
        same = (record.state, record.year, record.members) == (
            State.ARCHIVED,
            archive.manifest.year,
            archive.manifest.members,
        )
        if same and not adopter.has(record.location):
            keys = tuple(UNKNOWN_KEYS) if encryption.is_encrypted(stored.location) else ()
            return Repointing(
                kind=Kind.PURGE, record=replace(record, location=stored.location, recipients=keys, **asdict(digests))
            )
    return None


def _recorded(adopter: Adopter, archive: Archive, stored: StoredObject, users: set[int]) -> str:
    """Return why another purge has the users; empty if none does. Raise RefusedError if it has some, or the number."""
    for record in purge_record.every(adopter.databases.master):
        if record.state is not State.ARCHIVED or not users & {*record.ids}:
            continue
        if adopter.has(record.location) and users <= {*record.ids}:
            return f"{record.location} holds them"
        raise RefusedError(
            f"{stored.location} has users of purge {record.id}, too, whose archive is "
            f"{adopter.named(record.location)}. {UNCHANGED}",
            hint=LATER,
        )
    for record in _of_number(adopter, archive):
        raise RefusedError(
            f"{stored.location} is of purge {record.id}, which is that of {adopter.named(record.location)} now. "
            f"{UNCHANGED}",
            hint=LATER,
        )
    return ""


def _of_number(adopter: Adopter, archive: Archive) -> list[Purge]:
    """Return the record with the number that the manifest says, if there is one."""
    every = purge_record.every(adopter.databases.master)
    return [each for each in every if each.id == archive.manifest.tenant_id]


def _before(archive: Archive, stored: StoredObject) -> datetime:
    if archive.manifest.before is None:
        raise RefusedError(
            f"{stored.location}, {layout.MANIFEST}, before: missing, for an older version made it. It can't be "
            f"adopted. {UNCHANGED}",
            hint=LATER,
        )
    return datetime.fromisoformat(archive.manifest.before)


def _deleted(placement: Placement, model: Model, archive: Archive) -> dict[TableName, SelectedRows]:
    """Return the primary keys of the archived rows, by which late rows that name them are found."""
    tables = {}
    for table in model.tables:
        key = placement.schemas[MASTER].tables[table.table].primary_key
        if len(key) == 1 and layout.member(table) in archive.manifest.members:
            rows = [(each,) for each in keys_in(archive, table, key)]
            tables[table] = SelectedRows(identity=key, columns=key, rows=rows)
    return tables

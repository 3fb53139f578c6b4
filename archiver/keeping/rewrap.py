"""Archives encrypted to today's recipients: a new object each, proved equal before the record moves to it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from archiver import encryption, layout, notes, records
from archiver.archive import Archiver, fetch, new_location
from archiver.encryption import Keys
from archiver.folders import work_folder
from archiver.records import Record, State
from archiver.storage import Digests, file_digests
from errors import CutoverError, DamagedError, RefusedError, UsageError


@dataclass(frozen=True, kw_only=True)
class Rewrapped:
    """What became of one archive."""

    record: Record  # as it is now
    seconds: float
    left: str = ""  # where the earlier object stays; empty where nothing moved
    error: CutoverError | None = None


Tell = Callable[[Rewrapped], None]


def rewrap(archiver: Archiver, wanted: Sequence[Record], tell: Tell) -> list[Rewrapped]:
    """Encrypts archives to today's recipients; one that fails stays as it is and is reported, the others go on.

    Raises UsageError where the inventory has no recipients, or an archive is encrypted and no identity was given.
    The caller holds the locks. `tell` hears of each archive as it ends.
    """
    if not archiver.keys.recipients:
        raise UsageError(
            "The inventory has no recipients to encrypt to.", hint="Add them:  store: {recipients: [age1…]}"
        )
    due = [record.location for record in wanted if not _done(archiver.keys, record)]
    encryption.refuse_if_closed(due, archiver.keys)
    outcomes = []
    for record in wanted:
        outcomes.append(_attempt(archiver, record))
        tell(outcomes[-1])
    return outcomes


def _done(keys: Keys, record: Record) -> bool:
    return set(record.recipients) == set(keys.recipients)


def _attempt(archiver: Archiver, record: Record) -> Rewrapped:
    began = time.monotonic()
    try:
        record = _still_archived(archiver, record)
        if _done(archiver.keys, record):
            return Rewrapped(record=record, seconds=time.monotonic() - began)
        with work_folder(archiver.work) as work:
            moved = _move(archiver, record, _rewrap(archiver, record, work))
        return Rewrapped(record=moved, seconds=time.monotonic() - began, left=record.location)
    except CutoverError as error:
        return Rewrapped(record=record, seconds=time.monotonic() - began, error=error)


def _still_archived(archiver: Archiver, record: Record) -> Record:
    """Reads the record again, now under the lock."""
    who = f"{archiver.model.tenant.noun.capitalize()} {record.tenant_id}"
    for now in records.of_tenant(archiver.place.master, record.tenant_id, record.year):
        if now.state is State.ARCHIVED:
            return now
        raise RefusedError(
            f"{who} is {now.state.value} for {now.year}, by a run that was cut off.",
            hint="End that first: run the command that was cut off again.",
        )
    raise RefusedError(f"{who} is not archived for {record.year} any more.")


def _rewrap(archiver: Archiver, record: Record, work: Path) -> Record:
    """Fetch, open, encrypt, store, fetch back and prove; the record as it shall be."""
    plain = work / layout.tarball(archiver.model.tenant.noun, record.year, record.tenant_id)
    content = _open(fetch(archiver.bucket, record, work / "earlier"), archiver.keys, plain)
    path = encryption.encrypt(plain, archiver.keys)
    digests = file_digests(path)
    location = new_location(archiver, record.year, record.tenant_id)
    archiver.bucket.put(archiver.bucket.key(location), path, digests)
    stored = replace(record, location=location, recipients=archiver.keys.recipients, **asdict(digests))
    if _open(fetch(archiver.bucket, stored, work / "fetched"), archiver.keys, plain) != content:
        raise DamagedError(f"{location} does not hold what {record.location} holds. The record stays as it is.")
    return stored


def _open(path: Path, keys: Keys, target: Path) -> Digests:
    """Writes the plain tarball of an archive, encrypted or not; what its bytes come to."""
    if not encryption.is_encrypted(path.name):
        path.rename(target)
    else:
        with target.open("wb") as sink:
            encryption.decrypt(path, keys, sink)
    return file_digests(target)


def _move(archiver: Archiver, record: Record, stored: Record) -> Record:
    """Moves the record to the new object, together with the log."""
    master = archiver.place.master
    with master.transaction(doing=f"moving the record of {archiver.model.tenant.noun} {record.tenant_id}"):
        moved = records.rewrapped(master, stored)
        details = {"from": record.location, "to": moved.location, "recipients": moved.recipients}
        notes.log(master, "rewrap", moved, {**details, "sha256": moved.sha256})
    return moved

"""Archives proved again, long after they were made: fetched, restored into the scratch database, compared."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from archiver import index, notes, records
from archiver.archive import Archiver, fetch
from archiver.bundle import Archive, opened
from archiver.encryption import refuse_if_closed
from archiver.folders import work_folder
from archiver.postgres import Session
from archiver.proving.verify import Verified, verify
from archiver.records import Record
from errors import CutoverError


@dataclass(frozen=True, kw_only=True)
class Proved:
    """What became of one archive."""

    record: Record
    seconds: float
    error: CutoverError | None = None


Tell = Callable[[Proved], None]


def longest_unproven(wanted: Iterable[Record], sample: int | None) -> Sequence[Record]:
    """The archives in the order in which they need a proof, the one proved longest ago first; so many, or all."""
    by_proof = sorted(wanted, key=lambda record: record.proved_at or record.started_at)
    return by_proof[:sample]


def prove(archiver: Archiver, wanted: Sequence[Record], tell: Tell) -> list[Proved]:
    """Proves each archive anew; one that fails is reported, the others go on. `tell` hears of each as it ends.

    Raises UsageError where one is encrypted and no identity was given.
    """
    refuse_if_closed((record.location for record in wanted), archiver.keys)
    outcomes = []
    for record in wanted:
        outcomes.append(_attempt(archiver, record))
        tell(outcomes[-1])
    return outcomes


def _attempt(archiver: Archiver, record: Record) -> Proved:
    began = time.monotonic()
    try:
        with work_folder(archiver.work) as work:
            _prove(archiver, record, work)
        return Proved(record=record, seconds=time.monotonic() - began)
    except CutoverError as error:
        return Proved(record=record, seconds=time.monotonic() - began, error=error)


def _prove(archiver: Archiver, record: Record, work: Path) -> None:
    """Fetches, holds the digests against the record, restores, compares; then writes the date and the log."""
    with opened(fetch(archiver.bucket, record, work), archiver.keys) as archive:
        proof = verify(archive, record.tenant_id, record.year, archiver.ground, archiver.model)
        with archiver.place.master.transaction(doing="writing the proof"):
            records.proved(archiver.place.master, record)
            _index(archiver.place.master, record, archive)
            notes.log(archiver.place.master, "verify", record, _details(record, proof))


def _index(master: Session, record: Record, archive: Archive) -> None:
    """Writes the ids of an archive that an older version of this tool made."""
    if record.id in {one.id for one in index.missing(master)}:
        index.write(master, record, index.ids_in(archive))


def _details(record: Record, proof: Verified) -> dict[str, object]:
    return {"rows": proof.manifest.rows, "size": record.size, "sha256": record.sha256}

"""How long archiving takes here, from what it took: earlier records, or a few tenants that are pretended now."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression

from archiver.estimate.sizes import TenantSize
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import Session
from archiver.postgres.tenants import Tenant
from archiver.records import archive_record
from archiver.records.archive_record import Record
from archiver.runs.archive import pretended
from archiver.runs.context import Archiver

MEASURED = (0.5, 0.9)  # a tenant in the middle, and one of which nine in ten are smaller


@dataclass(frozen=True, kw_only=True)
class ArchiveSample:
    """One tenant that was archived, or pretended; times in seconds."""

    rows: int
    size: int  # bytes of the tarball
    archive: float  # all of it, but without the deletion where that was pretended
    extract: float
    verify: float
    delete: float | None  # none: pretended


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Seconds for each tenant, and for each row."""

    tenant: float
    row: float

    def seconds(self, tenants: int, rows: float) -> float:
        """How long it takes for these together, one after the other."""
        return self.tenant * tenants + self.row * rows


@dataclass(frozen=True, kw_only=True)
class Rates:
    """What an environment does in which time."""

    archive: Rate
    extract: Rate
    verify: Rate  # and as long a restore takes
    delete: Rate | None  # none: the samples were pretended
    bytes_per_row: float  # of a tarball
    samples: int  # on which they rest


def rates(samples: Sequence[ArchiveSample]) -> Rates:
    """The rates at which these samples went."""
    deletions = [(sample.rows, sample.delete) for sample in samples if sample.delete is not None]
    rows = sum(sample.rows for sample in samples)
    return Rates(
        archive=fitted([(sample.rows, sample.archive) for sample in samples]),
        extract=fitted([(sample.rows, sample.extract) for sample in samples]),
        verify=fitted([(sample.rows, sample.verify) for sample in samples]),
        delete=fitted(deletions) if deletions else None,
        bytes_per_row=sum(sample.size for sample in samples) / max(rows, 1),
        samples=len(samples),
    )


def fitted(points: Sequence[tuple[int, float]]) -> Rate:
    """The line through (rows, seconds) that lies nearest; through zero, where that would not rise or begin below."""
    rows, seconds = [float(one) for one, _ in points], [one for _, one in points]
    if len(set(rows)) > 1:
        line = linear_regression(rows, seconds)
        if line.slope >= 0 and line.intercept >= 0:
            return Rate(tenant=line.intercept, row=line.slope)
    return Rate(tenant=0, row=sum(seconds) / max(sum(rows), 1))


def recorded(master: Session) -> list[ArchiveSample]:
    """What earlier archives took; one that was cut off and ended later says nothing."""
    found = (_of_record(record) for record in archive_record.read_if_any(master))
    return [sample for sample in found if sample is not None]


def _of_record(record: Record) -> ArchiveSample | None:
    extract, verify, delete = record.seconds_to_extract, record.seconds_to_restore, record.seconds_to_delete
    if record.archived_at is None or extract is None or verify is None or delete is None:
        return None
    return ArchiveSample(
        rows=record.rows,
        size=record.size or 0,
        # A run over many begins and ends with all of them: what one took are its parts.
        archive=extract + verify + delete
        if record.snapshots
        else (record.archived_at - record.started_at).total_seconds() + delete,
        extract=extract,
        verify=verify,
        delete=delete,
    )


def measure(archiver: Archiver, sizes: Sequence[TenantSize], year: int) -> list[ArchiveSample]:
    """Pretends to archive a tenant of middle size and a big one, each under its lock; nothing is kept or deleted."""
    by_rows = sorted(sizes, key=lambda size: size.rows)
    places = sorted({int(len(by_rows) * part) for part in MEASURED}) if by_rows else []
    return [_pretended(archiver, by_rows[place].tenant, year) for place in places]


def _pretended(archiver: Archiver, tenant: Tenant, year: int) -> ArchiveSample:
    databases, began = archiver.databases, time.monotonic()
    with databases.tenant_lock(archiver.model.tenant.noun, tenant.id, tenant.shard), work_folder(archiver.work) as work:
        packed, proof = pretended(archiver, databases.placement(tenant.shard), tenant, year, work)
        return ArchiveSample(
            rows=proof.manifest.rows,
            size=packed.digests.size,
            archive=time.monotonic() - began,
            extract=packed.extract.seconds,
            verify=proof.seconds,
            delete=None,
        )

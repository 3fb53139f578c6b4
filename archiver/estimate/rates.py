"""Measure how long archiving takes here: from earlier records, or on a few tenants without deleting them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression
from typing import TYPE_CHECKING

from archiver.estimate.sizes import TenantSize
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import Session
from archiver.postgres.tenants import Tenant
from archiver.records import archive_record
from archiver.records.archive_record import Record

if TYPE_CHECKING:
    from archiver.runs.context import Archiver

MEASURED = (0.5, 0.9)  # the median tenant, and the one at the 90th percentile


@dataclass(frozen=True, kw_only=True)
class ArchiveSample:
    """One tenant that was archived, or whose archiving was tried without deletion; times in seconds."""

    rows: int
    size: int  # bytes of the tarball
    archive: float  # in total, without the deletion if that was not done
    extract: float
    verify: float
    delete: float | None  # None: not done


@dataclass(frozen=True, kw_only=True)
class Rate:
    """Seconds per tenant and per row."""

    tenant: float
    row: float

    def seconds(self, tenants: int, rows: float) -> float:
        """Return the duration for these together, one after the other."""
        return self.tenant * tenants + self.row * rows


@dataclass(frozen=True, kw_only=True)
class Rates:
    """The rates of an environment."""

    archive: Rate
    extract: Rate
    verify: Rate  # also used for a restore
    delete: Rate | None  # None: no sample was deleted
    bytes_per_row: float  # of a tarball
    samples: int  # number of samples used


def rates(samples: Sequence[ArchiveSample]) -> Rates:
    """Return the rates of these samples."""
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
    """Return the line nearest to (rows, seconds); through the origin, if it would fall or start below zero."""
    rows, seconds = [float(count) for count, _ in points], [duration for _, duration in points]
    if len(set(rows)) > 1:
        line = linear_regression(rows, seconds)
        if line.slope >= 0 and line.intercept >= 0:
            return Rate(tenant=line.intercept, row=line.slope)
    return Rate(tenant=0, row=sum(seconds) / max(sum(rows), 1))


def recorded(master: Session) -> list[ArchiveSample]:
    """Return the samples of earlier archives; an interrupted one that was completed later is no sample."""
    samples = (_of_record(record) for record in archive_record.read_if_any(master))
    return [sample for sample in samples if sample is not None]


def _of_record(record: Record) -> ArchiveSample | None:
    """Return the sample of a record; None if a duration is missing."""
    extract, verify, delete = record.seconds_to_extract, record.seconds_to_restore, record.seconds_to_delete
    if record.archived_at is None or extract is None or verify is None or delete is None:
        return None
    return ArchiveSample(
        rows=record.rows,
        size=record.size or 0,
        # A run over many tenants starts and ends with all of them: the time of one is the sum of its parts.
        archive=extract + verify + delete
        if record.snapshots
        else (record.archived_at - record.started_at).total_seconds() + delete,
        extract=extract,
        verify=verify,
        delete=delete,
    )


def measure(archiver: Archiver, sizes: Sequence[TenantSize], year: int) -> list[ArchiveSample]:
    """Archive a median tenant and a big one without deletion, each under its lock; nothing is kept."""
    by_rows = sorted(sizes, key=lambda size: size.rows)
    positions = sorted({int(len(by_rows) * part) for part in MEASURED}) if by_rows else []
    return [_measured(archiver, by_rows[position].tenant, year) for position in positions]


def _measured(archiver: Archiver, tenant: Tenant, year: int) -> ArchiveSample:
    """Archive a tenant without deletion, and measure it."""
    from archiver.runs.archive import pretended  # not at the top: an estimate from records archives nothing

    databases, began = archiver.databases, time.monotonic()
    with databases.tenant_lock(tenant.id, tenant.shard), work_folder(archiver.work) as work:
        packed, proof = pretended(archiver, databases.placement(tenant.shard), tenant, year, work)
        return ArchiveSample(
            rows=proof.manifest.rows,
            size=packed.digests.size,
            archive=time.monotonic() - began,
            extract=packed.extract.seconds,
            verify=proof.seconds,
            delete=None,
        )

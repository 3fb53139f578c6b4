"""The product's work in a separate process, through the product's interface; prints figures as JSON.

`python -m bench.work pack` · `year 2` (workers) · `celery 2` · `school 13 17 …`
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from functools import partial
from multiprocessing import get_context
from statistics import median

from archiver.catalog.model import MASTER
from archiver.extract import many
from archiver.extract.one import extract_one as extract_one
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import Session
from archiver.postgres.tenants import Exclude, TenantFilter
from archiver.records import archive_record, resolve
from archiver.records.archive_record import StoredTarball
from archiver.records.archive_request import ArchiveRequest
from archiver.runs import setup
from archiver.runs.archive import tenant_to_archive
from archiver.runs.archive_many import archive_many
from archiver.runs.celery import Celery
from archiver.runs.context import ArchiveOutcome, Archiver, new_location, opened
from archiver.runs.context import pack as make_tarball
from archiver.runs.engines import Engine, Processes
from archiver.verify.verify import verify
from bench.queue import workers
from bench.testbed import NIGHT
from bench.year.size import SHARDS
from errors import CutoverError
from inventory.catalog import DEFAULT_DEPTH
from inventory.keys import Key
from inventory.load import load
from inventory.model import Environment

Figures = Mapping[str, float]
WAL = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
ROWS = 1 << 26  # bytes of rows in memory, as in a run with the default --memory
YEAR, DAY = 2013, date.fromisoformat(NIGHT)
REQUEST = ArchiveRequest(year=YEAR, depth=DEFAULT_DEPTH, night=DAY)


@dataclass
class DeletionCost:
    """The cost of a run's deletion, measured from the first strategy that it reports."""

    session: Session  # separate: the run's own sessions are busy
    began: float = 0.0
    wal: int = 0

    def on_strategy(self, strategy: str) -> None:
        """Start measuring, unless started already."""
        if not self.began:
            self.began, self.wal = time.monotonic(), self.session.row(WAL)[0]

    def figures(self) -> Figures:
        """Return the cost up to now, when the deletion is over."""
        return {
            "reclaim_seconds": time.monotonic() - self.began,
            "reclaim_wal": self.session.row(WAL)[0] - self.wal,
        }


def pack(environment: Environment, words: Sequence[str]) -> Figures:
    """Pack every school, also the excluded ones, to a tarball on disk, as pg_dump does; one process per shard."""
    with ProcessPoolExecutor(len(SHARDS), mp_context=get_context("spawn")) as pool:
        results = list(pool.map(partial(_pack, environment), SHARDS))
    return {figure: sum(result[figure] for result in results) for figure in results[0]}


def _pack(environment: Environment, shard: str) -> Figures:
    packing, rows = 0.0, 0
    with setup.archiver(environment, "bench") as archiver, work_folder(archiver.work) as work:
        all_tenants = resolve.all_to_archive(archiver.databases, YEAR, TenantFilter())
        tenants, placement = (
            [tenant for tenant in all_tenants if tenant.shard == shard],
            archiver.databases.placement(shard),
        )
        began = time.monotonic()
        with (work / "rows").open("w+b") as file:
            for extract in many.extract_many(placement, archiver.model, tenants, YEAR, file, ROWS):
                started = time.monotonic()
                rows += make_tarball(archiver, extract, work).extract.manifest.rows
                packing += time.monotonic() - started
        return {"extract_seconds": time.monotonic() - began - packing, "pack_seconds": packing, "rows": rows}


def year(environment: Environment, words: Sequence[str]) -> Figures:
    """Run step 8 of the night: everything that `inv archive.all` does."""
    engine = Processes(environment=environment, purpose="bench", identity="", workers=int(words[0]))
    return _year(environment, engine)


def celery(environment: Environment, words: Sequence[str]) -> Figures:
    """Run step 8 with workers at a broker, after starting both."""
    number = int(words[0])
    with workers(environment, number) as queued:
        return _year(queued, Celery(environment=queued, workers=number, say=lambda line: None))


def _year(environment: Environment, engine: Engine) -> Figures:
    excluded = environment.night(DAY).exclude
    with setup.archiver(environment, "bench") as archiver, archiver.databases.exclusive_lock():
        tenants = resolve.all_to_archive(
            archiver.databases, YEAR, TenantFilter(exclude=Exclude(tenants=frozenset(excluded.schools)))
        )
        cost = DeletionCost(archiver.databases.open(MASTER))
        outcomes = archive_many(archiver, tenants, REQUEST, lambda outcome: None, cost.on_strategy, engine)
        _refuse(outcomes)
        rows = sum(outcome.rows for outcome in outcomes)
        return {**cost.figures(), "schools": len(outcomes), "rows": rows}


def school(environment: Environment, words: Sequence[str]) -> Figures:
    """Extract, pack, store and verify schools one by one in a running process; the first only warms up."""
    with setup.archiver(environment, "bench") as archiver:
        seconds = [_one(archiver, int(word)) for word in words][1:]
    return {"school_seconds": median(seconds), "slowest_seconds": max(seconds)}


def _one(archiver: Archiver, tenant_id: Key) -> float:
    """Archive one school up to, and without, the deletion; return the seconds."""
    tenant = tenant_to_archive(archiver, tenant_id, YEAR)
    with (
        archiver.databases.tenant_lock(tenant.id, tenant.shard),
        work_folder(archiver.work) as work,
    ):
        began, master = time.monotonic(), archiver.databases.master
        location = new_location(archiver, YEAR, tenant.id)
        record = archive_record.start(master, [tenant], REQUEST, [location], archiver.keys.recipients)[tenant.id]
        extract = extract_one(archiver.databases.placement(tenant.shard), archiver.model, tenant, YEAR, work)
        packed = make_tarball(archiver, extract, work)
        digests = archiver.bucket.put(archiver.bucket.key(record.location), packed.path, packed.digests)
        tarball = StoredTarball(record=record, manifest=extract.manifest, digests=digests, seconds=extract.seconds)
        record = archive_record.stored(master, tarball)
        with opened(archiver, work, record) as stored:
            proof = verify(stored, tenant.id, YEAR, archiver.scratch, archiver.model)
        archive_record.verified(master, record, proof.seconds)
        return time.monotonic() - began


def _refuse(outcomes: Sequence[ArchiveOutcome]) -> None:
    """Raise CutoverError if a school failed: the figures would be worthless."""
    errors = [outcome.error for outcome in outcomes if outcome.error]
    if errors:
        raise CutoverError(f"{len(errors)} schools failed; the first: {errors[0]}")


TASKS: Mapping[str, Callable[[Environment, Sequence[str]], Figures]] = {
    "pack": pack,
    "year": year,
    "celery": celery,
    "school": school,
}

if __name__ == "__main__":
    json.dump(TASKS[sys.argv[1]](load("rehearsal"), sys.argv[2:]), sys.stdout)

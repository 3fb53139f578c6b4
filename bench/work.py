"""The product's work in a process of its own, through the product's interface; tells figures as JSON.

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
from archiver.postgres.tenants import Exclude
from archiver.records import archive_record, resolve
from archiver.records.archive_record import ArchiveRequest
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
from inventory.load import load
from inventory.model import Depth, Environment

Figures = Mapping[str, float]
WAL = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
ROWS = 1 << 26  # bytes of rows in memory, as of a run with the default --memory
YEAR, DAY = 2013, date.fromisoformat(NIGHT)
ORDER = ArchiveRequest(year=YEAR, depth=Depth.ALL, night=DAY)


@dataclass
class DeletionCost:
    """When the run turned from archiving to giving back: it tells a way to do so as it begins."""

    session: Session  # of its own: the run's are at work
    began: float = 0.0
    wal: int = 0

    def on_strategy(self, strategy: str) -> None:
        """The run says how it gives the rows of some tables back."""
        if not self.began:
            self.began, self.wal = time.monotonic(), self.session.row(WAL)[0]

    def figures(self) -> Figures:
        """Its cost, now that it is over."""
        return {
            "reclaim_seconds": time.monotonic() - self.began,
            "reclaim_wal": self.session.row(WAL)[0] - self.wal,
        }


def pack(environment: Environment, words: Sequence[str]) -> Figures:
    """Every school, also the excluded ones, to a tarball on disk: what pg_dump does. A process a shard."""
    with ProcessPoolExecutor(len(SHARDS), mp_context=get_context("spawn")) as pool:
        told = list(pool.map(partial(_pack, environment), SHARDS))
    return {figure: sum(one[figure] for one in told) for figure in told[0]}


def _pack(environment: Environment, shard: str) -> Figures:
    packing, rows = 0.0, 0
    with setup.archiver(environment, "bench") as archiver, work_folder(archiver.work) as work:
        everybody = resolve.all_to_archive(archiver.databases, YEAR, Exclude())
        tenants, site = [tenant for tenant in everybody if tenant.shard == shard], archiver.databases.placement(shard)
        began = time.monotonic()
        with (work / "rows").open("w+b") as file:
            for extract in many.extract_many(site, archiver.model, tenants, YEAR, file, ROWS):
                started = time.monotonic()
                rows += make_tarball(archiver, extract, work).extract.manifest.rows
                packing += time.monotonic() - started
        return {"extract_seconds": time.monotonic() - began - packing, "pack_seconds": packing, "rows": rows}


def year(environment: Environment, words: Sequence[str]) -> Figures:
    """Step 8 of the night: all that `inv archive.all` does."""
    engine = Processes(environment=environment, purpose="bench", identity="", workers=int(words[0]))
    return _year(environment, engine)


def celery(environment: Environment, words: Sequence[str]) -> Figures:
    """The same with workers at a broker; both are started first."""
    number = int(words[0])
    with workers(environment, number) as queued:
        return _year(queued, Celery(environment=queued, workers=number, say=lambda line: None))


def _year(environment: Environment, engine: Engine) -> Figures:
    left_out = environment.night(DAY).exclude
    with setup.archiver(environment, "bench") as archiver, archiver.databases.exclusive_lock():
        tenants = resolve.all_to_archive(archiver.databases, YEAR, Exclude(tenants=frozenset(left_out.schools)))
        reclaiming = DeletionCost(archiver.databases.open(MASTER))
        outcomes = archive_many(archiver, tenants, ORDER, lambda outcome: None, reclaiming.on_strategy, engine)
        _refuse(outcomes)
        rows = sum(outcome.rows for outcome in outcomes)
        return {**reclaiming.figures(), "schools": len(outcomes), "rows": rows}


def school(environment: Environment, words: Sequence[str]) -> Figures:
    """Schools one by one in a process that runs already: extract, pack, store, verify. The first only warms up."""
    with setup.archiver(environment, "bench") as archiver:
        seconds = [_one(archiver, int(word)) for word in words][1:]
    return {"school_seconds": median(seconds), "slowest_seconds": max(seconds)}


def _one(archiver: Archiver, tenant_id: int) -> float:
    """What archiving one school does before it deletes."""
    tenant = tenant_to_archive(archiver, tenant_id, YEAR)
    with (
        archiver.databases.tenant_lock("school", tenant.id, tenant.shard),
        work_folder(archiver.work) as work,
    ):
        began, master = time.monotonic(), archiver.databases.master
        record = archive_record.start(
            master, tenant, ORDER, new_location(archiver, YEAR, tenant.id), archiver.keys.recipients
        )
        found = extract_one(archiver.databases.placement(tenant.shard), archiver.model, tenant, YEAR, work)
        packed = make_tarball(archiver, found, work)
        archiver.bucket.put(archiver.bucket.key(record.location), packed.path, packed.digests)
        record = archive_record.stored(master, record, packed.extract.manifest, packed.digests, found.seconds)
        with opened(archiver, work, record) as stored:
            proof = verify(stored, tenant.id, YEAR, archiver.scratch, archiver.model)
        archive_record.verified(master, record, proof.seconds)
        return time.monotonic() - began


def _refuse(outcomes: Sequence[ArchiveOutcome]) -> None:
    """A bench of work that failed would measure nothing."""
    found = [outcome.error for outcome in outcomes if outcome.error]
    if found:
        raise CutoverError(f"{len(found)} schools failed; the first: {found[0]}")


TASKS: Mapping[str, Callable[[Environment, Sequence[str]], Figures]] = {
    "pack": pack,
    "year": year,
    "celery": celery,
    "school": school,
}

if __name__ == "__main__":
    json.dump(TASKS[sys.argv[1]](load("rehearsal"), sys.argv[2:]), sys.stdout)

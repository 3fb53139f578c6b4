"""The product's work in a process of its own, through the product's interface; tells figures as JSON.

`python -m bench.work pack` · `year` · `school 13 17 …`
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from statistics import median

from archiver import bundle, choice, layout, setup
from archiver.archive import Archiver, Outcome, archive, chosen
from archiver.catalog import Model
from archiver.folders import work_folder
from archiver.reclaiming.reclaim import Proven, Reclaim, Reclaimed
from archiver.records import Order
from archiver.tenants import Exclude
from archiver.workplace import Site
from bench.ground import NIGHT
from errors import CutoverError
from inventory.load import load
from inventory.model import Depth, Environment

Figures = Mapping[str, float]
WAL = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"


@dataclass
class Timed:
    """A way to reclaim, and what it cost so far."""

    inner: Reclaim
    seconds: float = 0.0
    wal: int = 0

    def reclaim(self, site: Site, model: Model, proven: Sequence[Proven], work: Path) -> list[Reclaimed]:
        """As the inner one."""
        began, before = time.monotonic(), site.master.row(WAL)[0]
        try:
            return self.inner.reclaim(site, model, proven, work)
        finally:
            self.seconds += time.monotonic() - began
            self.wal += site.master.row(WAL)[0] - before


class Nothing:
    """Reclaims nothing: a school is archived up to its verification, as often as one likes."""

    def reclaim(self, site: Site, model: Model, proven: Sequence[Proven], work: Path) -> list[Reclaimed]:
        """Leaves everything live."""
        return []


def pack(environment: Environment, words: Sequence[str]) -> Figures:
    """Every school, also the excluded ones, to a tarball on disk: what pg_dump does with the same databases."""
    extract_seconds, rows, size, order = 0.0, 0, 0, _order(environment)
    with setup.archiver(environment, "bench") as archiver:
        for tenant in choice.all_to_archive(archiver.place, order.year, Exclude()):
            with work_folder(archiver.work) as work:
                site, began = archiver.place.site(tenant.shard), time.monotonic()
                (extract,) = archiver.extraction.extract(site, archiver.model, [tenant], order.year, work)
                extract_seconds += time.monotonic() - began
                manifest, texts = layout.sealed(extract.manifest)
                bundle.write(work / "packed", texts, extract.files)
                rows, size = rows + manifest.rows, size + (work / "packed").stat().st_size
    return {"extract_seconds": extract_seconds, "rows": rows, "bytes": size}


def year(environment: Environment, words: Sequence[str]) -> Figures:
    """Step 8 of the night: all that `inv archive.all` does."""
    order, left_out = _order(environment), environment.night(date.fromisoformat(NIGHT)).exclude
    with setup.archiver(environment, "bench") as opened, opened.place.alone():
        timed = Timed(opened.reclaiming)
        archiver = replace(opened, reclaiming=timed)
        tenants = choice.all_to_archive(archiver.place, order.year, Exclude(tenants=frozenset(left_out.schools)))
        outcomes = archive(archiver, tenants, order, lambda outcome: None)
    _refuse(outcomes)
    rows = sum(outcome.rows for outcome in outcomes)
    return {"reclaim_seconds": timed.seconds, "reclaim_wal": timed.wal, "schools": len(outcomes), "rows": rows}


def school(environment: Environment, words: Sequence[str]) -> Figures:
    """Schools one by one in a process that runs already: extract, pack, store, verify. The first only warms up."""
    with setup.archiver(environment, "bench") as opened:
        archiver = replace(opened, reclaiming=Nothing())
        seconds = [_one(archiver, int(word), _order(environment)) for word in words][1:]
    return {"school_seconds": median(seconds), "slowest_seconds": max(seconds)}


def _one(archiver: Archiver, tenant_id: int, order: Order) -> float:
    tenant = chosen(archiver, tenant_id, order.year)
    with archiver.place.keeping(archiver.model.tenant.noun, tenant.id, tenant.shard):
        began = time.monotonic()
        _refuse(archive(archiver, [tenant], order, lambda outcome: None))
        return time.monotonic() - began


def _order(environment: Environment) -> Order:
    night = date.fromisoformat(NIGHT)
    return Order(year=environment.school_year(night), depth=Depth.ALL, night=night)


def _refuse(outcomes: Sequence[Outcome]) -> None:
    """A bench of work that failed would measure nothing."""
    found = [outcome.error for outcome in outcomes if outcome.error]
    if found:
        raise CutoverError(f"{len(found)} schools failed; the first: {found[0]}")


TASKS: Mapping[str, Callable[[Environment, Sequence[str]], Figures]] = {"pack": pack, "year": year, "school": school}

if __name__ == "__main__":
    json.dump(TASKS[sys.argv[1]](load("rehearsal"), sys.argv[2:]), sys.stdout)

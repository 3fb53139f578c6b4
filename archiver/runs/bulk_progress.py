"""The progress of a bulk run, read from master's records, so that it works with every engine."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import timedelta

from archiver.catalog.model import MASTER, SHARD
from archiver.completeness.live import sizes
from archiver.postgres.databases import Databases
from archiver.postgres.session import DatabaseError, Session
from archiver.postgres.tenants import Tenant, every
from archiver.records.archive_request import ArchiveRequest
from archiver.records.state import State
from archiver.runs.eta import Eta
from archiver.runs.progress import EVERY, OnProgress, Progress
from inventory.keys import key_text

_DONE = [state.value for state in (State.VERIFIED, State.DELETING, State.ARCHIVED)]


@contextmanager
def reporting_progress(
    databases: Databases,
    tenants: Sequence[Tenant],
    request: ArchiveRequest,
    eta: Eta,
    on_progress: OnProgress,
    every: float = EVERY,
) -> Iterator[None]:
    """Report progress during the block, `every` so many seconds, until a query fails."""
    if request.pretend:
        yield  # it writes no records from which progress could be read
        return
    over = threading.Event()
    with closing(databases.open(MASTER)) as session:
        thread = threading.Thread(
            target=_watch, args=(session, tenants, request, eta, on_progress, over, every), daemon=True
        )
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()


def _watch(
    session: Session,
    tenants: Sequence[Tenant],
    request: ArchiveRequest,
    eta: Eta,
    on_progress: OnProgress,
    over: threading.Event,
    every: float,
) -> None:
    began, ids = time.monotonic(), [key_text(tenant.id) for tenant in tenants]
    while not over.wait(every):
        try:
            row = session.row(_SEEN, (ids, request.year, _DONE), doing="reading the run's progress")
        except DatabaseError:
            return  # the run itself reports the cause
        elapsed = timedelta(seconds=time.monotonic() - began)
        on_progress(
            Progress(
                what="verified",
                done=row[0],
                total=len(ids),
                rows=row[1],
                size=row[2],
                elapsed=elapsed,
                left=eta.left(elapsed, row[1]),
            )
        )


def expected(databases: Databases, tenants: Sequence[Tenant]) -> int:
    """Return the estimated rows of these tenants: each database's rows by its statistics, times their share of it."""
    all_tenants = Counter(tenant.shard for tenant in every(databases.master, databases.model.tenant))
    requested = Counter(tenant.shard for tenant in tenants)
    rows = {shard: _rows(databases, shard) for shard in requested if shard != MASTER}
    of_shards = sum(rows[shard] * requested[shard] / all_tenants[shard] for shard in rows)
    return round(of_shards + _rows(databases, MASTER) * requested.total() / all_tenants.total())


def _rows(databases: Databases, name: str) -> int:
    tables = databases.model.of(MASTER if name == MASTER else SHARD)
    statistics = sizes(databases.session(name))
    return sum(statistics[table.table].rows or 0 for table in tables if table.table in statistics)


_SEEN = """
SELECT count(*), coalesce(sum(own.rows), 0)::bigint, coalesce(sum(size), 0)::bigint
  FROM archiver.archives, LATERAL (SELECT sum((value ->> 'rows')::bigint) AS rows FROM jsonb_each(members)) own
 WHERE kind = 'tenant' AND key = ANY(%s) AND year = %s AND state = ANY(%s)
"""

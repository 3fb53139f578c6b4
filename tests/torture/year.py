"""The bench's year, archived whole by a process that is killed at any instant and run again; judged by the oracle."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

from bench import servers
from bench.places import ROOT
from bench.run import Run, prepared
from bench.servers import EMPTY, FILLED, ROLE
from bench.testbed import OVERLAY, Testbed
from bench.year.size import excluded
from inventory.model import Store
from rehearsal.waiting import await_condition
from tests import oracle
from tests.oracle import Snapshot
from tests.torture import judge

SCALE = Fraction(1, 100)
WORKERS = "2"
LONGEST = 600  # seconds that a whole run may take


@dataclass(frozen=True, kw_only=True)
class Year:
    """The year before, and what must be left of it."""

    run: Run
    before: Snapshot
    expected: Snapshot
    seconds: float  # of a run that is let live


@contextmanager
def year() -> Iterator[Year]:
    """Make or find the year, archive it once unharmed, and judge that."""
    with prepared(SCALE, print) as run, run.testbed() as testbed:
        dsns = _dsns(testbed)
        before = oracle.snapshot(dsns)
        expected = oracle.expected_after_archiving(dsns, _schools(before, testbed), "all", before)
        began = time.monotonic()
        _archive(testbed)
        whole = Year(run=run, before=before, expected=expected, seconds=time.monotonic() - began)
        assert _lost(whole, testbed) == 0
        yield whole


def killed(whole: Year, chance: int) -> tuple[float, int]:
    """Kill a run of the year at a random instant and run it again; return the instant and the number of lost rows."""
    instant = random.Random(chance).uniform(0, whole.seconds)
    with whole.run.testbed() as testbed:
        process = subprocess.Popen(
            _words(), cwd=ROOT, env=testbed.env, stdout=subprocess.DEVNULL, start_new_session=True
        )
        try:
            process.wait(instant)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        await_condition(lambda: not _at_work(testbed), doing="Waiting for the killed sessions", seconds=60)
        _archive(testbed)
        return instant, _lost(whole, testbed)


def _lost(whole: Year, testbed: Testbed) -> int:
    """Rows that are neither live nor archived; AssertionError where another state is live than the oracle's."""
    found = oracle.snapshot(_dsns(testbed))
    assert found == whole.expected, oracle.difference(whole.expected, found)
    archives = [judge.stored(_store(testbed), location) for location in _locations(testbed)]
    missing = judge.gone(whole.before, found)
    lost = 0
    for table, lines in missing.items():
        rows: Counter[bytes] = Counter()
        for archive in archives:
            rows.update(archive.rows.get(table, ()))
        carried = next(archive.carried[table] for archive in archives if table in archive.carried)
        shown = judge.Stored(rows={table: rows}, carried={table: carried})
        lost += shown.lacks(table, lines)
    return lost


def _words() -> list[str]:
    return [sys.executable, "-m", "bench.work", "year", WORKERS]


def _archive(testbed: Testbed) -> None:
    """Run it to its end."""
    subprocess.run(_words(), cwd=ROOT, env=testbed.env, stdout=subprocess.DEVNULL, check=True, timeout=LONGEST)


def _dsns(testbed: Testbed) -> dict[str, str]:
    return {name: servers.dsn(testbed.cluster, name) for name in (*FILLED, *EMPTY)}


def _at_work(testbed: Testbed) -> bool:
    """True if the server still holds a session of the dead run."""
    query = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{ROLE}'"
    return int(testbed.cluster.sql(query)) > 0


def _schools(before: Snapshot, testbed: Testbed) -> list[int]:
    all_schools = {int(line.split(b"\t")[0]) for line in before.tables["master"]["schools"]}
    return sorted(all_schools - set(excluded(testbed.size)))


def _store(testbed: Testbed) -> Store:
    return Store(**json.loads((testbed.folder / OVERLAY).read_text(encoding="utf-8"))["store"])


def _locations(testbed: Testbed) -> list[str]:
    query = "SELECT location FROM archiver.archives WHERE kind = 'tenant' AND state = 'archived'"
    return testbed.cluster.sql(query, dbname="master").split()

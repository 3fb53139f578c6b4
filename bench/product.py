"""The product as subjects: small functions from a testbed to a cost. Add a new engine here."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench import servers
from bench.measured import Measured, middle
from bench.places import ROOT
from bench.process import measure
from bench.testbed import NIGHT, Testbed
from bench.year.size import largest_school, median_schools

TRIES = 3
WARM_UP = 1
CORES = 2  # assumed by the goals


def pack(testbed: Testbed) -> Measured:
    """Extract and pack everything, warm."""
    return _work(testbed, "pack")


def pack_cold(testbed: Testbed) -> Measured:
    """Extract and pack everything, cold."""
    servers.restart_cold(testbed.cluster)
    return _work(testbed, "pack").with_note("server restarted, its files dropped from the system's cache")


def year(testbed: Testbed, workers: int = CORES, engine: str = "year") -> Measured:
    """Run steps 8 and 9 of the night: archive, verify, delete, compact. The figures include the cost of compacting."""
    archived, compacted = _work(testbed, engine, workers), _inv(testbed, "databases.vacuum")
    reported = archived.figures
    figures = {
        **reported,
        "reclaim_seconds": reported["reclaim_seconds"] + compacted.seconds,
        "reclaim_wal": reported["reclaim_wal"] + compacted.wal,
    }
    return replace(archived + compacted, figures=figures, peak=archived.peak)


def median_school(testbed: Testbed) -> Measured:
    """Archive median schools in a running process."""
    return _work(testbed, "school", *median_schools(testbed.size, WARM_UP + 2 * TRIES))


def largest(testbed: Testbed) -> Measured:
    """Archive the largest school in a running process."""
    return _work(testbed, "school", *[largest_school()] * (WARM_UP + TRIES))


def inv_median(testbed: Testbed) -> Measured:
    """Run `inv archive.school` for median schools, as complete processes."""
    return middle(_pretend(testbed, school) for school in median_schools(testbed.size, TRIES))


def inv_largest(testbed: Testbed) -> Measured:
    """Run `inv archive.school` for the largest school, as complete processes."""
    return middle(_pretend(testbed, largest_school()) for _ in range(TRIES))


def _work(testbed: Testbed, task: str, *words: object) -> Measured:
    command: Sequence[str] = (sys.executable, "-m", "bench.work", task, *map(str, words))
    return measure(command, testbed.cluster, env=testbed.env, folder=ROOT, tells=True)


def _pretend(testbed: Testbed, school: int) -> Measured:
    return _inv(testbed, "archive.school", str(school), "--pretend", "--here", f"--date={NIGHT}")


def _inv(testbed: Testbed, *words: str) -> Measured:
    return measure((Path(sys.executable).parent / "inv", *words), testbed.cluster, env=testbed.env, folder=ROOT)

"""The product as a subject: each a small function from a ground to its cost. Here a new engine is put in."""

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
CORES = 2  # what the goals are for


def pack(ground: Testbed) -> Measured:
    """Everything extracted and packed, warm."""
    return _work(ground, "pack")


def pack_cold(ground: Testbed) -> Measured:
    """The same with nothing of it in memory."""
    servers.restart_cold(ground.cluster)
    return _work(ground, "pack").with_note("server restarted, its files dropped from the system's cache")


def year(ground: Testbed, workers: int = CORES, engine: str = "year") -> Measured:
    """Steps 8 and 9 of the night: archived, verified, deleted, compacted; with what giving the space back cost."""
    archived, compacted = _work(ground, engine, workers), _inv(ground, "databases.vacuum")
    told = archived.figures
    figures = {
        **told,
        "reclaim_seconds": told["reclaim_seconds"] + compacted.seconds,
        "reclaim_wal": told["reclaim_wal"] + compacted.wal,
    }
    return replace(archived + compacted, figures=figures, peak=archived.peak)


def median_school(ground: Testbed) -> Measured:
    """Median schools in a running process."""
    return _work(ground, "school", *median_schools(ground.size, WARM_UP + 2 * TRIES))


def largest(ground: Testbed) -> Measured:
    """The largest school in a running process."""
    return _work(ground, "school", *[largest_school()] * (WARM_UP + TRIES))


def inv_median(ground: Testbed) -> Measured:
    """`inv archive.school` from its start to its end, median schools."""
    return middle(_pretend(ground, school) for school in median_schools(ground.size, TRIES))


def inv_largest(ground: Testbed) -> Measured:
    """The same for the largest school."""
    return middle(_pretend(ground, largest_school()) for _ in range(TRIES))


def _work(ground: Testbed, task: str, *words: object) -> Measured:
    command: Sequence[str] = (sys.executable, "-m", "bench.work", task, *map(str, words))
    return measure(command, ground.cluster, env=ground.env, folder=ROOT, tells=True)


def _pretend(ground: Testbed, school: int) -> Measured:
    return _inv(ground, "archive.school", str(school), "--pretend", "--here", f"--date={NIGHT}")


def _inv(ground: Testbed, *words: str) -> Measured:
    return measure((Path(sys.executable).parent / "inv", *words), ground.cluster, env=ground.env, folder=ROOT)

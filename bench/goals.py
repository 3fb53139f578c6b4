"""The ratios named in issue and README, each with its goal and the value that counts as beyond it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum

from bench.measured import Measured
from bench.names import Subject

Results = Mapping[Subject, Measured]
MIB = 1 << 20


class Verdict(Enum):
    """A figure compared with its target."""

    BEYOND = "beyond"
    MET = "met"
    MISSED = "missed"
    UNKNOWN = "not measured"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The target of a figure."""

    goal: float
    beyond: float
    unit: str = ""
    more_is_better: bool = False
    scale: str = ""  # the only scale at which it counts; empty: any

    def verdict(self, value: float | None) -> Verdict:
        """Return the verdict on a figure."""
        if value is None:
            return Verdict.UNKNOWN
        sign = -1 if self.more_is_better else 1
        if sign * value <= sign * self.beyond:
            return Verdict.BEYOND
        return Verdict.MET if sign * value <= sign * self.goal else Verdict.MISSED


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A figure computed from subjects' results, and its target."""

    what: str
    needs: tuple[Subject, ...]
    figure: Callable[[Results], float]
    target: Target

    def value(self, results: Results) -> float | None:
        """Return the figure; None if a required subject was not measured."""
        if any(name not in results or results[name].error for name in self.needs):
            return None
        return self.figure(results)


def seconds(*names: Subject) -> Callable[[Results], float]:
    """Return a function for the sum of subjects' wall times."""
    return lambda results: sum(results[name].seconds for name in names)


def reported(name: Subject, figure: str) -> Callable[[Results], float]:
    """Return a function for a figure that a subject's process reported."""
    return lambda results: results[name].figures[figure]


def over(top: Callable[[Results], float], bottom: Callable[[Results], float]) -> Callable[[Results], float]:
    """Return a function for a ratio."""
    return lambda results: top(results) / bottom(results)


GOALS = (
    Goal(
        what="extract + pack everything ÷ pg_dump -Fd -j2 -Z gzip:1",
        needs=(Subject.PACK, Subject.DUMP),
        figure=over(seconds(Subject.PACK), seconds(Subject.DUMP)),
        target=Target(goal=1.5, beyond=1.25),
    ),
    Goal(
        what="archive everything, verified, deleted, compacted, S3 included ÷ (pg_dump + pg_restore -j2)",
        needs=(Subject.YEAR, Subject.DUMP, Subject.RESTORE),
        figure=over(seconds(Subject.YEAR), seconds(Subject.DUMP, Subject.RESTORE)),
        target=Target(goal=1.25, beyond=0.8),
    ),
    Goal(
        what="prove + delete + compact, 95 % gone ÷ DELETE + VACUUM FULL",
        needs=(Subject.YEAR, Subject.DELETE),
        figure=over(reported(Subject.YEAR, "reclaim_seconds"), seconds(Subject.DELETE)),
        target=Target(goal=0.1, beyond=0.06),
    ),
    Goal(
        what="WAL of it ÷ WAL of DELETE + VACUUM FULL",
        needs=(Subject.YEAR, Subject.DELETE),
        figure=over(reported(Subject.YEAR, "reclaim_wal"), lambda results: results[Subject.DELETE].wal),
        target=Target(goal=0.12, beyond=0.06),
    ),
    Goal(
        what="extraction cold ÷ warm",
        needs=(Subject.PACK, Subject.PACK_COLD),
        figure=over(reported(Subject.PACK_COLD, "extract_seconds"), reported(Subject.PACK, "extract_seconds")),
        target=Target(goal=1.3, beyond=1.15),
    ),
    Goal(
        what="whole year ÷ the old way on this machine (sampled)",
        needs=(Subject.YEAR, Subject.OLD_WAY),
        figure=over(seconds(Subject.YEAR), seconds(Subject.OLD_WAY)),
        target=Target(goal=1 / 20, beyond=1 / 30),
    ),
    Goal(
        what="one median school: extract, pack, store, verify, warm, in a running process",
        needs=(Subject.MEDIAN,),
        figure=lambda results: 1000 * results[Subject.MEDIAN].figures["school_seconds"],
        target=Target(goal=250, beyond=120, unit="ms"),
    ),
    Goal(
        what="the largest school (540,000 rows), the same",
        needs=(Subject.LARGEST,),
        figure=reported(Subject.LARGEST, "school_seconds"),
        target=Target(goal=4, beyond=3, unit="s", scale="1/10"),
    ),
    Goal(
        what="slice-db ÷ inv archive.school N --pretend, whole processes: median school",
        needs=(Subject.SLICE_MEDIAN, Subject.INV_MEDIAN),
        figure=over(seconds(Subject.SLICE_MEDIAN), seconds(Subject.INV_MEDIAN)),
        target=Target(goal=1.2, beyond=2, more_is_better=True),
    ),
    Goal(
        what="the same, largest school",
        needs=(Subject.SLICE_LARGEST, Subject.INV_LARGEST),
        figure=over(seconds(Subject.SLICE_LARGEST), seconds(Subject.INV_LARGEST)),
        target=Target(goal=2, beyond=4, more_is_better=True, scale="1/10"),
    ),
    Goal(
        what="peak memory of a worker",
        needs=(Subject.YEAR,),
        figure=lambda results: results[Subject.YEAR].peak / MIB,
        target=Target(goal=1024, beyond=512, unit="MiB"),
    ),
)

# Targets of bench.scaling, which measures the complete year at several scales.
EXPONENT = Target(goal=1.05, beyond=1.0)
SAME_MEMORY = Target(goal=1.15, beyond=1.05)  # nothing under 15 % is a difference

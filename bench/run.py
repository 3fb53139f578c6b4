"""A run: measures the subjects in turn, each on a copy of the same year."""

from __future__ import annotations

import fcntl
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from bench import product
from bench.measured import Measured, failed
from bench.names import Subject
from bench.peers import copies, delete, dump, old_way, slice_db
from bench.places import home
from bench.testbed import Testbed, open_testbed, store
from bench.year.make import template
from bench.year.size import Size, size_at
from errors import CutoverError, LockedError
from rehearsal import postgres_programs, processes
from rehearsal.postgres_programs import OPEN_FOLDER, Programs
from rehearsal.postgres_server import Cluster

Act = Callable[[Testbed], Measured]

# In order of execution: read-only subjects share a copy, each subject that changes the year has its own.
SHARING: Mapping[Subject, Act] = {
    Subject.COPY_OUT: copies.copy_out,
    Subject.GZIP: copies.gzip,
    Subject.BY_TABLE: copies.by_table,
    Subject.DUMP: dump.dump,
    Subject.RESTORE: dump.restore,
    Subject.PACK: product.pack,
    Subject.MEDIAN: product.median_school,
    Subject.LARGEST: product.largest,
    Subject.SLICE_MEDIAN: slice_db.median,
    Subject.INV_MEDIAN: product.inv_median,
    Subject.SLICE_LARGEST: slice_db.largest,
    Subject.INV_LARGEST: product.inv_largest,
    Subject.PACK_COLD: product.pack_cold,
}
CHANGING: Mapping[Subject, Act] = {
    Subject.OLD_WAY: old_way.old_way,
    Subject.DELETE: delete.delete,
    Subject.YEAR: product.year,
}


@dataclass(frozen=True, kw_only=True)
class Run:
    """A run's folder, and what its subjects share."""

    template: Cluster
    size: Size
    folder: Path
    stored: Mapping[str, str]
    on_line: Callable[[str], None]

    @contextmanager
    def testbed(self) -> Iterator[Testbed]:
        """Yield a fresh copy of the year."""
        with open_testbed(self.template, self.size, self.stored, self.folder) as fresh:
            yield fresh

    def measure(self, name: str, act: Act, testbed: Testbed) -> Measured:
        """Return a subject's figures; a subject that fails has none and does not stop the others."""
        began = time.monotonic()
        try:
            measured = act(testbed)
        except (CutoverError, OSError, ValueError) as error:
            measured = failed(str(error))
        figure = measured.error or f"{measured.seconds:.2f} s"
        self.on_line(f"{name}: {figure} ({time.monotonic() - began:.0f} s spent)")
        return measured


@contextmanager
def prepared(scale: Fraction, on_line: Callable[[str], None]) -> Iterator[Run]:
    """Yield a run with the year at a scale and a store; remove everything at the end of the block."""
    with _folder() as folder:
        programs: Programs = postgres_programs.find(folder, {})
        began = time.monotonic()
        made = template(scale, home(), programs)
        on_line(f"the year at {scale}, made or found: {time.monotonic() - began:.0f} s")
        with store(folder) as stored:
            yield Run(template=made, size=size_at(scale), folder=folder, stored=stored, on_line=on_line)


def measure_all(run: Run, selected: Callable[[Subject], bool]) -> Mapping[Subject, Measured]:
    """Measure the selected subjects, in order."""
    results: dict[Subject, Measured] = {}
    shared_subjects = {subject: act for subject, act in SHARING.items() if selected(subject)}
    if shared_subjects:
        with run.testbed() as shared:
            results |= {subject: run.measure(subject, act, shared) for subject, act in shared_subjects.items()}
    for subject, act in CHANGING.items():
        if selected(subject):
            with run.testbed() as own:
                results[subject] = run.measure(subject, act, own)
    return results


@contextmanager
def _folder() -> Iterator[Path]:
    """Yield an empty folder for a run, locked: two runs at a time would distort each other's figures."""
    with (home() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LockedError("Another bench is running on this machine.", hint="Wait, then run this again.") from None
        folder = home() / "run"
        _remove(folder)  # left by a killed run
        folder.mkdir(mode=OPEN_FOLDER)
        try:
            yield folder
        finally:
            _remove(folder)


def _remove(folder: Path) -> None:
    if folder.exists():
        processes.stop_all(folder, folder)
        shutil.rmtree(folder)

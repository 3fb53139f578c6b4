"""The report as two files, report.html and report.md: written on demand, and after every event of a running night."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from errors import CutoverError
from inventory.private_folder import private_folder
from runbooks.engine.model.history import History, read_history
from runbooks.engine.model.journal import OVER, Event, Journal
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Clock
from runbooks.engine.reporting.estimates import LastTime
from runbooks.night.report.html import page
from runbooks.night.report.markdown import markdown_report
from runbooks.night.report.model import account


@dataclass(frozen=True, kw_only=True)
class Reporter:
    """A writer of a night's report into a folder."""

    plan: Plan
    folder: Path
    last: LastTime
    figures: Callable[[Plan, History], Iterable[str]]  # the night's totals

    def write(self, events: tuple[Event, ...], now: datetime, *, at_work: bool) -> tuple[Path, Path]:
        """Write both files, each atomically, and return their paths; CutoverError if writing fails."""
        figures = self.figures(self.plan, read_history(events))
        content = account(self.plan, events, now, at_work=at_work, last=self.last, figures=figures)
        html, markdown = self.folder / "report.html", self.folder / "report.md"
        try:
            private_folder(self.folder)
            _replace(html, page(content))
            _replace(markdown, markdown_report(content))
        except OSError as error:
            raise CutoverError(f"Writing the report into {self.folder} failed: {error.strerror}.") from error
        return html, markdown


class LiveReport:
    """A report that is rewritten while the night runs; only the first failure is shown."""

    def __init__(self, reporter: Reporter, journal: Journal, clock: Clock, warn: Callable[[str], None]) -> None:
        self._reporter = reporter
        self._journal = journal
        self._clock = clock
        self._warn = warn
        self._warned = False

    def write(self, news: Sequence[Event]) -> None:
        """Rewrite the report after new events."""
        events = self._journal.events
        try:
            self._reporter.write(events, self._clock.now(), at_work=events[-1].kind not in OVER)
        except Exception as error:  # whatever is wrong with the report, the night goes on
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            said = str(error) if isinstance(error, CutoverError) else f"Writing the report failed: {error!r}."
            self._warn(f"{said} The night goes on; there is no second warning.")


def _replace(path: Path, text: str) -> None:
    """Replace a file atomically, so that a reader never sees half of it; only this user may read it."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600, exist_ok=False)
    new.write_text(text, encoding="utf-8")
    new.replace(path)

"""The listeners of a night besides its terminal: the report and the webhook."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from inventory.model import Environment
from runbooks.engine.live.background import in_background
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console
from runbooks.engine.model.journal import Journal
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Notifier
from runbooks.engine.reporting.estimates import LastTime
from runbooks.engine.reporting.notifications import Announcer
from runbooks.night import files, summary
from runbooks.night.report.files import LiveReport, Reporter
from runbooks.night.webhook import notifier_of


@contextmanager
def followed(
    environment: Environment, plan: Plan, journal: Journal, last: LastTime, console: Console
) -> Iterator[Notifier]:
    """Yield a notifier; while the block runs, keep the report up to date and notify the webhook of each event."""
    folder = files.Files(environment, plan.date).journal.parent
    reporter = Reporter(plan=plan, folder=folder, last=last, figures=summary.figures)
    live = LiveReport(reporter, journal, SystemClock(), console.warn)
    with notifier_of(environment, plan.date, console.warn) as notifier, in_background(live.write) as rewrite:
        journal.listen(Announcer(plan, journal, notifier).on_event)
        journal.listen(rewrite)
        yield notifier

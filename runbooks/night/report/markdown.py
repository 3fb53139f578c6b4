"""The report as Markdown: the same content as the page, for a ticket or a repository. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import tzinfo

from formatting import span
from runbooks.engine.model.work_intervals import WorkInterval
from runbooks.night.report.common_text import clock, compared, titled, zone_name
from runbooks.night.report.model import Account, HostAccount, StepAccount


def markdown_report(account: Account) -> str:
    """Return the whole report."""
    parts = (_head, _debt, _steps, _costs, _deeds)
    return "\n".join(line for part in parts for line in part(account)) + "\n"


def _head(account: Account) -> Iterator[str]:
    yield f"# {_text(account.plan.title)}: {account.state}"
    yield ""
    times = ", ".join(f"{name} {time}" for name, time in clock(account.forecast))
    yield f"- {account.settled} of {len(account.steps)} steps; {times} ({zone_name(account)})"
    yield from (f"- **{_text(line)}**" for line in (*filter(None, [account.waits]), *account.forecast.warnings))
    yield f"- run {_text(account.run)}, plan {account.plan.digest}"
    yield from (f"- {_text(line)}" for line in (*account.plan.notes, *account.figures))
    yield ""


def _debt(account: Account) -> Iterator[str]:
    yield "## Still off"
    yield ""
    yield from (f"- {_text(line)}" for line in account.debts or ("nothing: everything is back on",))
    yield ""


def _steps(account: Account) -> Iterator[str]:
    yield "## Steps"
    yield ""
    for step in account.steps:
        yield from _step(step, account)


def _step(step: StepAccount, account: Account) -> Iterator[str]:
    yield f"### {_text(titled(step))} · {step.step.shown_mark.value} · {step.outcome.value}"
    yield ""
    if times := [f"{name} {time}" for name, time in compared(step, account)]:
        yield f"{_text('; '.join(times))}"
        yield ""
    yield from _table(("host", "outcome", "when", "proof", "by"), [_host(host, account) for host in step.hosts])


def _host(host: HostAccount, account: Account) -> tuple[str, ...]:
    whens = ", ".join(_when(work_interval, account.plan.zone) for work_interval in host.work_intervals)
    return host.host, host.outcome.value, whens, host.proof, host.operator


def _when(work_interval: WorkInterval, zone: tzinfo) -> str:
    began, ended = (
        f"{moment.astimezone(zone):%H:%M:%S}" if moment else "" for moment in (work_interval.began, work_interval.ended)
    )
    return f"{began} to {ended}" if ended else f"since {began}"


def _costs(account: Account) -> Iterator[str]:
    yield "## Manual steps, longest first"
    yield ""
    yield from _table(("step", "took"), [(titled(step), span(step.spent)) for step in account.costs if step.spent])


def _deeds(account: Account) -> Iterator[str]:
    yield "## Operator actions and answers"
    yield ""
    yield from _table(
        ("at", "who", "what"), [(f"{deed.at:%H:%M:%S}", deed.operator, deed.what) for deed in account.deeds]
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    yield from (f"| {' | '.join(_text(cell) for cell in row)} |" for row in rows)
    yield ""


def _text(said: str) -> str:
    """Return text escaped so that none of it is markup or ends a row."""
    for character in "\\`*_[]|":
        said = said.replace(character, f"\\{character}")
    return " ".join(said.replace("&", "&amp;").replace("<", "&lt;").split())

"""The report as one self-contained HTML page, readable on a phone, in a light and a dark scheme. Pure."""

from __future__ import annotations

from pathlib import Path

from formatting import span
from runbooks.engine.model.outcome import Outcome
from runbooks.night.report.common_text import clock, compared, titled, zone_name
from runbooks.night.report.elements import Markup, element, together
from runbooks.night.report.model import Account, HostAccount, OperatorAction, StepAccount
from runbooks.night.report.timeline import timeline

STYLE = Markup(Path(__file__).with_name("page.css").read_text(encoding="utf-8"))
REFRESH = "10"  # seconds, until the night is done
SIGNS = {
    Outcome.PENDING: "· to do",
    Outcome.RUNNING: "▸ running",
    Outcome.DONE: "✓ done",
    Outcome.FAILED: "✗ failed",
    Outcome.SKIPPED: "- skipped",
    Outcome.DEFERRED: "» deferred",
    Outcome.UNKNOWN: "? unknown",
}


def page(account: Account) -> str:
    """Return the whole page."""
    parts = (_head, _clock, _warnings, _debt, timeline, _steps, _costs, _deeds)
    body = element("body", *(part(account) for part in parts))
    return f"<!DOCTYPE html>\n{element('html', _meta(account), body, lang='en')}\n"


def _meta(account: Account) -> Markup:
    again = [] if account.forecast.ended else [element("meta", http_equiv="refresh", content=REFRESH)]
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        *again,
        element("title", f"{account.plan.title}: {account.state}"),
        element("style", STYLE),
    )


def _head(account: Account) -> Markup:
    seen = account.forecast
    progress = (
        f"{account.settled} of {len(account.steps)} steps; as of {seen.now:%Y-%m-%d %H:%M:%S} {zone_name(account)}"
    )
    notes = [element("li", line) for line in (*account.plan.notes, *account.figures)]
    return together(
        element("h1", account.plan.title),
        element("p", element("span", account.state, class_="state"), f" · {progress}"),
        element("ul", *notes, class_="small"),
        element("p", f"run {account.run}, plan {account.plan.digest}", class_="small dim"),
    )


def _clock(account: Account) -> Markup:
    tiles = [element("div", element("dt", name), element("dd", time)) for name, time in clock(account.forecast)]
    return element("dl", *tiles, class_="clock")


def _warnings(account: Account) -> Markup:
    lines = (*filter(None, [account.waits]), *account.forecast.warnings)
    return together(*(element("p", line, class_="card warning") for line in lines))


def _debt(account: Account) -> Markup:
    if not account.debts:
        return element("section", "Everything is back on.", class_="card debt none")
    title = element("h3", "Still off, or not proven to be on again")
    lines = [element("li", line) for line in account.debts]
    return element("section", title, element("ul", *lines), class_="card debt open")


def _steps(account: Account) -> Markup:
    return together(element("h2", "Steps"), *(_step(step, account) for step in account.steps))


def _step(step: StepAccount, account: Account) -> Markup:
    head = element("header", element("h3", titled(step)), _outcome(step.outcome))
    times = [
        element("span", element("span", f"{name} ", class_="dim"), time, class_="num")
        for name, time in (("", step.step.shown_mark.value), *compared(step, account))
    ]
    hosts = [_host(host) for host in step.hosts]
    return element(
        "article", head, element("div", *times, class_="times"), *hosts, class_="card step", data_key=step.step.key
    )


def _host(host: HostAccount) -> Markup:
    by = [element("span", f"by {host.operator}", class_="by dim small")] if host.operator else []
    return element(
        "div",
        _outcome(host.outcome),
        element("span", host.host, class_="name"),
        *by,
        element("span", host.proof, class_="proof"),
        class_="host-row",
    )


def _outcome(outcome: Outcome) -> Markup:
    return element("span", SIGNS[outcome], class_=f"outcome {outcome.value}")


def _costs(account: Account) -> Markup:
    if not account.costs:
        return Markup()
    longest = max(step.spent for step in account.costs if step.spent)
    rows = [
        element(
            "div",
            element("span", titled(step)),
            element("span", span(step.spent), class_="num"),
            element("div", _bar(100 * (step.spent / longest)), class_="track"),
            class_="cost",
        )
        for step in account.costs
        if step.spent
    ]
    return element("section", element("h2", "Manual steps, longest first"), *rows, class_="costs")


def _bar(percent: float) -> Markup:
    return element("div", class_="bar running", style=f"left:0;width:{percent:.1f}%")


def _deeds(account: Account) -> Markup:
    rows = [_deed(deed) for deed in account.deeds]
    return element("section", element("h2", "Operator actions and answers"), *rows, class_="deeds")


def _deed(deed: OperatorAction) -> Markup:
    said = element("span", deed.what, " ", element("span", deed.operator, class_="dim small"))
    return element("div", element("time", f"{deed.at:%H:%M:%S}"), said, class_="deed")

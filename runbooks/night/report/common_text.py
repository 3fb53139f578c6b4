"""Text and times that page and Markdown share. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from formatting import span, time_of_day
from runbooks.engine.model.forecast import Forecast
from runbooks.night.report.model import Account, StepAccount


def clock(seen: Forecast) -> tuple[tuple[str, str], ...]:
    """Return the night's times, each with its name."""
    times: list[tuple[str, datetime | None]] = [("began", seen.began)]
    if seen.ended:
        return (("began", f"{seen.began:%H:%M}"), ("done", at(seen.ended, seen.began)), ("took", span(seen.elapsed)))
    times += [("done about", seen.done_by), ("window ends", seen.window_end), ("turn back by", seen.turn_back_by)]
    labeled = tuple((name, at(moment, seen.now)) for name, moment in times if moment)
    return (labeled[0], ("elapsed", span(seen.elapsed)), *labeled[1:])


def at(moment: datetime, now: datetime) -> str:
    """Return a time of day."""
    return time_of_day(moment, now)


def compared(step: StepAccount, account: Account) -> Iterator[tuple[str, str]]:
    """Yield a step's time, its estimate and its time in the previous night, each with its name."""
    if step.spent is not None:
        yield "took", span(step.spent)
    if step.step.estimate:
        yield "estimate", f"{span(step.step.estimate)}, {step.step.basis}"
    if step.last is not None:
        yield "last time", f"{span(step.last)} on {account.last_night}"


def titled(step: StepAccount) -> str:
    """Return a step's number and title."""
    return f"{step.step.label}. {step.step.title}"


def zone_name(account: Account) -> str:
    """Return the name of the time zone of all times."""
    return f"{account.forecast.began:%Z}"

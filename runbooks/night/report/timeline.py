"""The timeline of the page: each step and host, and when it was at work. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from formatting import span
from runbooks.engine.model.work_intervals import WorkInterval
from runbooks.night.report.common_text import titled, zone_name
from runbooks.night.report.elements import Markup, element
from runbooks.night.report.model import Account, HostAccount, StepAccount

TICKS = 5  # times along the axis
SHORTEST = timedelta(minutes=1)


@dataclass(frozen=True)
class Scale:
    """The moments at both ends of the axis."""

    began: datetime
    ended: datetime

    def percent(self, moment: datetime) -> float:
        """Return the position of a moment on the axis, in percent."""
        return 100 * ((moment - self.began) / (self.ended - self.began))

    @property
    def ticks(self) -> list[str]:
        """The times along the axis, as text."""
        every = (self.ended - self.began) / (TICKS - 1)
        return [f"{self.began + every * number:%H:%M}" for number in range(TICKS)]


def timeline(account: Account) -> Markup:
    """Return the section with a lane for each step and host that was at work."""
    scale = _scale(account)
    ticks = element("div", *(element("span", tick) for tick in scale.ticks), class_="ticks")
    axis = element("div", element("span", zone_name(account), class_="host dim small"), ticks, class_="axis")
    rows = [row for step in account.steps for row in _rows(step, scale)]
    return element("section", element("h2", "Timeline"), axis, *rows, class_="timeline")


def _scale(account: Account) -> Scale:
    """Return the scale: from the beginning until now while the night runs, else until the last work ended."""
    seen = account.forecast
    every = [work_interval for step in account.steps for host in step.hosts for work_interval in host.work_intervals]
    ends = [work_interval.ended for work_interval in every if work_interval.ended]
    end = seen.now if account.state in ("running", "waiting") else max([seen.ended or seen.began, *ends])
    return Scale(seen.began, max(end.astimezone(seen.began.tzinfo), seen.began + SHORTEST))


def _rows(step: StepAccount, scale: Scale) -> list[Markup]:
    lanes = [_lane(host, scale) for host in step.hosts if host.work_intervals]
    return [element("h3", titled(step)), *lanes] if lanes else []


def _lane(host: HostAccount, scale: Scale) -> Markup:
    bars = [_bar(work_interval, scale) for work_interval in host.work_intervals]
    name = element("span", host.host, class_="host", title=host.host)
    return element("div", name, element("div", *bars, class_="track"), class_="lane")


def _bar(work_interval: WorkInterval, scale: Scale) -> Markup:
    ended = work_interval.ended or scale.ended
    left, right = (min(max(scale.percent(moment), 0.0), 100.0) for moment in (work_interval.began, ended))
    zone = scale.began.tzinfo
    began = work_interval.began.astimezone(zone)
    title = f"{began:%H:%M:%S}, {span(ended - work_interval.began)}, {work_interval.outcome.value}"
    where = f"left:{left:.2f}%;width:{right - left:.2f}%"
    return element("div", class_=f"bar {work_interval.outcome.value}", style=where, title=title)

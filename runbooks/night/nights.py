"""Every night of an environment: how each stands, what is left of it, and what falls due. Read-only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date as Date  # noqa: N812 - a summary has a field called date
from datetime import datetime
from enum import Enum
from json import dumps
from typing import Any

from formatting import many
from inventory.model import Environment
from runbooks.cli.due_work import DueWork
from runbooks.cli.tables import TextTable, show
from runbooks.engine.live.store_journal import NIGHTS, read_store_journal
from runbooks.engine.model.debts import owed, summed
from runbooks.engine.model.deferral import DeferredWork, deferred_work
from runbooks.engine.model.history import History, read_history
from runbooks.engine.model.journal import OVER, Event, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import ObjectStore
from runbooks.night import files

COLUMNS = ("night", "state", "steps", "schools", "still off")
ARCHIVING = "archiving.run"
STOPS_ETL = ("warehouse.stop-etl", "retirement.stop-etl")  # of one checklist and the other
TURNS = ("warehouse.cut-over", "app.point")  # the steps that turn to the new warehouse
ACTS = (Kind.INTENT, Kind.RESULT)


class NightState(Enum):
    """The state of a night."""

    NOT_BEGUN = "not begun"
    RUNNING = "running"
    STOPPED = "stopped"
    ABANDONED = "abandoned"
    DONE = "done"


@dataclass(frozen=True, kw_only=True)
class NightSummary:
    """One night of an environment, as its journal shows it."""

    date: Date
    state: NightState
    steps: int = 0  # of its checklist; 0 before it begins
    step: int = 0  # the number of the last one that began, in the checklist's order
    archived: int | None = None  # schools with a record, by step 8's proof
    left_out: int | None = None
    still_off: str = ""  # debts in one line; empty if everything is back on
    deferred: tuple[DeferredWork, ...] = ()  # left to a later day

    @property
    def done(self) -> int:
        """The number of steps that are certainly done."""
        return self.steps if self.state is NightState.DONE else max(self.step - 1, 0)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for a script."""
        return {
            "night": self.date.isoformat(),
            "state": self.state.value,
            "steps": self.steps,
            "done": self.done,
            "archived": self.archived,
            "left_out": self.left_out,
            "still_off": self.still_off,
            "deferred": [
                {"step": work.step, "host": work.host, "until": work.until.isoformat(), "by": work.by}
                for work in self.deferred
            ],
        }


def show_nights(environment: Environment, *, json: bool) -> None:
    """Show all nights of an environment and what falls due, or each as a line of JSON."""
    nights = summaries(environment)
    if json:
        show(dumps(night.to_json()) for night in nights)
    else:
        show(overview(environment, nights, datetime.now(environment.zone).date()))


def summaries(environment: Environment) -> list[NightSummary]:
    """Return all nights of the inventory and of the store, by date; CutoverError if the store can't be read."""
    object_store, at_work = files.object_store_of(environment), bool(files.at_work(environment))
    days = sorted({*environment.nights, *_begun(object_store)})
    return [summary_of(day, files.newer(object_store, day.isoformat(), ()), at_work=at_work) for day in days]


def last_load(environment: Environment, night: Date) -> datetime | None:
    """Return when the old warehouse's ETL stopped for good, by the journals of the year's earlier nights.

    None if none of them turned to the new warehouse. Raises CutoverError if the store can't be read.
    """
    object_store, year = files.object_store_of(environment), environment.school_year(night)
    earlier = [day for day in _begun(object_store) if day < night and environment.school_year(day) == year]
    histories = (read_history(files.newer(object_store, day.isoformat(), ())) for day in earlier)
    return next((stopped_at for history in histories if (stopped_at := _stopped_for_good(history))), None)


def _stopped_for_good(history: History) -> datetime | None:
    """Return when a night's ETL stopped; None if it did not turn to the new warehouse afterwards."""
    done = {step: state.ended for (step, _), state in history.tasks.items() if state.outcome is Outcome.DONE}
    turned = any(step in done for step in TURNS)
    return next((done[step] for step in STOPS_ETL if step in done), None) if turned else None


def last_archiving(object_store: ObjectStore) -> datetime | None:
    """Return when a night's step 8 last did anything, in any run; None if it never did."""
    folders = sorted({name.rpartition("/")[0] for name in object_store.names(NIGHTS)})
    events = (event for folder in folders for event in read_store_journal((), object_store, folder))
    return max((event.at for event in events if event.step == ARCHIVING and event.kind in ACTS), default=None)


def _begun(object_store: ObjectStore) -> list[Date]:
    """Return the dates of the nights that have begun."""
    return sorted({Date.fromisoformat(name.split("/")[1]) for name in object_store.names(NIGHTS)})


def summary_of(day: Date, events: Sequence[Event], *, at_work: bool = False) -> NightSummary:
    """Return a night as its events show it; `at_work`: True if a run is active in its environment. Pure."""
    if not events:
        return NightSummary(date=day, state=NightState.NOT_BEGUN)
    history, keys = read_history(events), _keys(events)
    figures = next((state.figures for (step, _), state in history.tasks.items() if step == ARCHIVING), {})
    debts = owed(events)
    return NightSummary(
        date=day,
        state=_state(events, history, at_work=at_work),
        steps=len(keys),
        step=max((keys.index(event.step) + 1 for event in events if event.step in keys), default=0),
        archived=figures.get("selected"),
        left_out=figures.get("excluded"),
        still_off=summed(debts) if debts else "",
        deferred=deferred_work(events),
    )


def _keys(events: Iterable[Event]) -> list[str]:
    """Return the keys of the night's steps, as it began with them."""
    return next((list(event.data["steps"]) for event in events if event.kind is Kind.BEGAN), [])


def _state(events: Sequence[Event], history: History, *, at_work: bool) -> NightState:
    if history.abandoned:
        return NightState.ABANDONED
    if history.ended:
        return NightState.DONE
    return NightState.RUNNING if at_work and events[-1].kind not in OVER else NightState.STOPPED


def overview(environment: Environment, nights: Sequence[NightSummary], today: Date) -> Iterator[str | TextTable]:
    """Yield all nights as a table, and what falls due. Pure."""
    if not nights:
        yield f"{environment.name} has no nights, neither in its inventory nor in its store."
        return
    yield TextTable(COLUMNS, [_row(night) for night in nights])
    due = (
        *_unfinished(environment, nights),
        *_deferred(environment, nights, today),
        *_to_come(environment, nights, today),
    )
    yield from due or ["Nothing falls due."]


def _row(night: NightSummary) -> tuple[str, ...]:
    steps = f"{night.done}/{night.steps}" if night.steps else ""
    schools = "" if night.archived is None else f"{night.archived:,} archived, {night.left_out:,} left out"
    return night.date.isoformat(), night.state.value, steps, schools, night.still_off


def _unfinished(environment: Environment, nights: Iterable[NightSummary]) -> Iterator[str]:
    """Yield the command that each stopped night, or abandoned one with debts, waits for."""
    for night in nights:
        if night.state is NightState.STOPPED or (night.state is NightState.ABANDONED and night.still_off):
            task = "resume" if night.state is NightState.STOPPED else "back-out"
            yield f"Due now: inv cutover.{task} --date={night.date} --env={environment.name}"


def _deferred(environment: Environment, nights: Iterable[NightSummary], today: Date) -> Iterator[str]:
    """Yield the deferred work of every night, with its day and the command that does it."""
    for night in nights:
        for work in night.deferred:
            yield DueWork(environment=environment.name, night=night.date.isoformat(), work=work).text(today)


def _to_come(environment: Environment, nights: Sequence[NightSummary], today: Date) -> Iterator[str]:
    """Yield the nights to come, with the number of schools that the year's last one has left out."""
    left_out = {environment.school_year(night.date): night.left_out for night in nights if night.left_out is not None}
    for night in nights:
        if night.state is NightState.NOT_BEGUN and night.date >= today:
            days = (night.date - today).days
            when = f"in {many(days, 'day')}" if days else "today"
            left = left_out.get(environment.school_year(night.date))
            schools = f", with {many(left, 'school')} left out so far" if left else ""
            yield f"Due {night.date}, {when}: the night{schools}."

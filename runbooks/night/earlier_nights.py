"""Earlier nights, from which the times of this night are estimated."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from errors import CutoverError
from inventory.load import ROOT
from inventory.model import Environment
from inventory.private_folder import private_folder
from runbooks.engine.live.store_journal import NIGHTS, current_folder, read_store_journal
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Event, read_events
from runbooks.engine.reporting.estimates import EarlierNight
from runbooks.night.files import Files, object_store_of

REHEARSAL = "rehearsal"
KEPT = 5  # the number of rehearsals to keep, the newest
FETCHED = 2  # the number of nights to fetch, the newest, if this machine has none


def earlier_nights(environment: Environment, before: datetime) -> list[EarlierNight]:
    """Return the nights that began before a moment, oldest first; if the environment has none, the rehearsal's.

    They are read from this machine, or from the store if this machine has none.
    """
    homes = {Files(environment, "").home, _history_folder(environment.name)}
    own = _began_before(before, _on_disk(homes)) or _began_before(before, _in_store(environment))
    if own or environment.name == REHEARSAL:
        return [EarlierNight(name=_date(events), events=events) for events in own]
    rehearsed = _began_before(before, _on_disk([_history_folder(REHEARSAL)]))
    return [EarlierNight(name=_date(events), events=events, rehearsal=True) for events in rehearsed]


def keep(environment: Environment, date: str) -> None:
    """Copy the journal of a lab's night out of the lab, which is deleted with all its files."""
    path = Files(environment, date).journal
    folder = _history_folder(environment.name) / date
    if environment.overlay is None or path.parent == folder:
        return
    private_folder(folder)
    run = read_history(read_events(path)).run
    shutil.copyfile(path, folder / f"journal-{run}.jsonl")
    for old in sorted(folder.glob("journal-*.jsonl"), key=lambda file: file.stat().st_mtime)[:-KEPT]:
        old.unlink(missing_ok=True)


def _history_folder(name: str) -> Path:
    return ROOT / ".cutover" / name


def _on_disk(homes: Iterable[Path]) -> Iterator[tuple[Event, ...]]:
    for home in homes:
        for path in home.glob("*/journal*.jsonl"):
            with suppress(CutoverError):  # a damaged journal gives no times, but must not stop a night
                yield read_events(path)


def _in_store(environment: Environment) -> Iterator[tuple[Event, ...]]:
    with suppress(CutoverError):  # without the store, the estimates stay as planned
        object_store = object_store_of(environment)
        dates = sorted({name.removeprefix(NIGHTS).split("/")[0] for name in object_store.names(NIGHTS)})
        for date in dates[-FETCHED:]:
            yield read_store_journal((), object_store, current_folder(object_store, date))


def _began_before(moment: datetime, nights: Iterable[tuple[Event, ...]]) -> list[tuple[Event, ...]]:
    """Return each run once, oldest first."""
    runs = {read_history(events).run: events for events in nights if events and events[0].at < moment}
    return sorted(runs.values(), key=lambda events: events[0].at)


def _date(events: tuple[Event, ...]) -> str:
    return f"{events[0].at:%Y-%m-%d}"

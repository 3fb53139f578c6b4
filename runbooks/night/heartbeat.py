"""The heartbeat of a run: into the store, for `inv cutover.watch`, and to a service that calls when it stops coming."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime

from errors import CutoverError
from inventory.model import Environment
from runbooks.engine.live.background import repeated
from runbooks.engine.live.store_journal import NIGHTS, StoreJournal
from runbooks.engine.model.debts import owed_now
from runbooks.engine.model.journal import Journal
from runbooks.engine.model.ports import Clock, ObjectStore
from runbooks.engine.model.waiting import waiting
from runbooks.night.webhook import Webhook, url_of

BEATS = "beats/"  # in the store: beats/2014-08-15/001/000042, beside the events nights/2014-08-15/001/…
TO_STORE, TO_URL = 30.0, 60.0  # seconds between two beats


@contextmanager
def beating(
    environment: Environment, date: str, journal: StoreJournal, clock: Clock, warn: Callable[[str], None]
) -> Iterator[None]:
    """Beat while the block runs. A beat that can't be delivered never holds up the night."""
    url = url_of(environment.heartbeat, warn, "No heartbeat is sent")
    with ExitStack() as stack:
        stack.enter_context(repeated(StoreBeats(journal, clock).beat, TO_STORE))
        if url:
            beats = UrlBeats(Webhook(url, warn, "heartbeat"), journal, {"night": date, "environment": environment.name})
            stack.callback(beats.stand_down)
            stack.enter_context(repeated(beats.beat, TO_URL))
        yield


class StoreBeats:
    """Puts the beats of a run into the store, each under a new number."""

    def __init__(self, journal: StoreJournal, clock: Clock) -> None:
        self._journal = journal
        self._clock = clock
        self._number: int | None = None  # of the last beat; None: not looked up yet

    def beat(self) -> None:
        """Put one beat; if the store fails, there is none, and a watch hears the silence."""
        store, folder = self._journal.object_store, beats_of(self._journal.folder)
        with suppress(CutoverError):
            if self._number is None:
                self._number = len(store.names(folder))
            store.put_new(f"{folder}{self._number + 1:06}", self._clock.now().isoformat())
            self._number += 1


class UrlBeats:
    """Posts the beats of a run while something is owed now."""

    def __init__(self, webhook: Webhook, journal: Journal, about: dict[str, str]) -> None:
        self._webhook = webhook
        self._journal = journal
        self._about = about  # the night
        self._expected = False  # True if the listener waits for the next beat

    def beat(self) -> None:
        """Post one beat if anything is owed."""
        events = self._journal.events
        if owed_now(events):
            self._expected = True
            self._post("waiting" if waiting(events) else "at work")

    def stand_down(self) -> None:
        """Post that nothing is owed any more. If something is, nothing is posted: the service then calls a person."""
        if self._expected and not owed_now(self._journal.events):
            self._post("ended")

    def _post(self, state: str) -> None:
        debts = len(owed_now(self._journal.events))
        self._webhook.post([{"event": "heartbeat", **self._about, "state": state, "owed": str(debts)}])


def beats_of(folder: str) -> str:
    """Return where the beats of a run lie, by the folder of its events."""
    return f"{BEATS}{folder.removeprefix(NIGHTS)}/"


def last_beat(object_store: ObjectStore, folder: str) -> tuple[int, datetime | None]:
    """Return the number and time of a run's newest beat; 0 and None if there is none. CutoverError without store."""
    names = object_store.names(beats_of(folder)) if folder else []
    text = object_store.get(names[-1]) if names else None
    return len(names), datetime.fromisoformat(text) if text else None

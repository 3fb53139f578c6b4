"""The operator's network is cut in each step of a night: the second machine hears of it, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from errors import CutoverError
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.ports import Choice
from runbooks.night import files
from runbooks.night import run as night_run
from runbooks.night.watch import Look, Watcher, look_at
from tests.fakes import FakeClock, FakeObjectStore, night_plan
from tests.operated_night import OperatedNight, operated_night

DATE = "2014-08-15"
HEARD_WITHIN = 120  # seconds
STEPS = [step.key for step in night_plan().steps]


class Network:
    """The way from the operator's machine to every host and to the store."""

    def __init__(self, cut_in: str) -> None:
        self._last_words = (f'"step": "{cut_in}"', f'"{Kind.INTENT.value}"')  # of the event after which it is cut
        self.cut = self._mended = False

    def mend(self) -> None:
        """Let every call through from now on."""
        self.cut, self._mended = False, True

    def over(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Return a call that fails while the network is cut."""

        def calls(*given: Any) -> Any:
            if self.cut:
                raise CutoverError("Connecting failed: Network is unreachable.")
            answer = call(*given)
            said = " ".join(map(str, given))
            self.cut = not self._mended and all(word in said for word in self._last_words)
            return answer

        return calls


class FarStore:
    """The object store as the operator's machine reaches it."""

    def __init__(self, behind: FakeObjectStore, network: Network) -> None:
        self.put_new = network.over(behind.put_new)
        self.get = network.over(behind.get)
        self.names = network.over(behind.names)


def cut_off(monkeypatch: pytest.MonkeyPatch, home: Path, network: Network) -> tuple[OperatedNight, FakeObjectStore]:
    """Return a night whose hosts and store are reached over a network, and the store as others reach it."""
    operated = operated_night(monkeypatch, home)
    store = files.object_store_of(operated.environment)
    assert isinstance(store, FakeObjectStore)
    far = FarStore(store, network)
    monkeypatch.setattr(files, "object_store_of", lambda environment: far)
    production = operated.fake_night.production
    monkeypatch.setattr(production, "do", network.over(production.do))
    monkeypatch.setattr(operated.fake_night.person, "choose", lambda *question: Choice.RETRY)
    return operated, store


def heard_of(night: OperatedNight, store: FakeObjectStore) -> list[tuple[str, float, str]]:
    """Watch from another machine for three minutes after the last sign; return the calls, and when they were made."""
    clock, calls = FakeClock(), list[tuple[str, float, str]]()
    began = clock.ticks()

    def call(event: str, text: str) -> bool:
        calls.append((event, clock.ticks() - began, text))
        return True

    def look(before: Look) -> Look:
        seen = look_at(store, DATE, before)
        return Look(seen.events, seen.beats, clock.now() if before == Look() else seen.beat)

    watcher = Watcher(night.fake_night.plan, clock, lambda line: None, call)
    while clock.ticks() - began < 180:
        watcher.look(look)
        clock.wait(timedelta(seconds=10))
    return calls


@pytest.mark.parametrize("step", STEPS)
def test_a_listener_hears_of_a_network_cut_in_any_step_and_the_night_goes_on_after_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, step: str
) -> None:
    network = Network(step)
    night, store = cut_off(monkeypatch, tmp_path, network)
    with pytest.raises(CutoverError) as raised:
        night.run()
    assert network.cut
    assert "Network is unreachable" in str(raised.value)

    [(event, seconds, text)] = heard_of(night, store)
    assert (event, seconds <= HEARD_WITHIN) == ("stands still", True)
    assert f"the last event is intent of {step}" in text
    assert "still off" in text or step == STEPS[0]

    network.mend()
    night_run.resume(night.environment, night.fake_night.plan, night.terminal, take_over=True)
    assert night.debts == []
    assert len([act for act in night.fake_night.production.acts if "archive.all" in act]) == 1
    assert night.events[-1].kind is Kind.ENDED

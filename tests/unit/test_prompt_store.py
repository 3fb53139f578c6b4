"""A store that hangs: the operator is told soon, whatever is asked of it, and an interrupted run ends without it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from errors import CutoverError
from runbooks.engine.live import prompt_store
from runbooks.engine.live.interrupt import Interruption
from runbooks.engine.live.prompt_store import PromptStore
from tests.fakes import FakeObjectStore

ASK: dict[str, Callable[[PromptStore], object]] = {
    "storing nights/1": lambda store: store.put_new("nights/1", "an event"),
    "fetching nights/1": lambda store: store.get("nights/1"),
    "listing nights/": lambda store: store.names("nights/"),
}


class Hanging(FakeObjectStore):
    """An object store that answers once the test lets it."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = threading.Event()

    def put_new(self, name: str, text: str) -> bool:
        self.answers.wait(10)
        return super().put_new(name, text)

    def get(self, name: str) -> str | None:
        self.answers.wait(10)
        return super().get(name)

    def names(self, start: str) -> list[str]:
        self.answers.wait(10)
        return super().names(start)


@contextmanager
def hanging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hanging]:
    monkeypatch.setattr(prompt_store, "SILENCE", 0.01)
    monkeypatch.setattr(prompt_store, "GLANCE", 0.01)
    store = Hanging()
    try:
        yield store
    finally:
        store.answers.set()


@pytest.mark.parametrize("what", ASK)
def test_a_store_that_hangs_is_told_once_and_its_late_answer_counts(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    warnings = list[str]()

    with hanging(monkeypatch) as store:

        def warn(text: str) -> None:
            warnings.append(text)
            store.answers.set()

        answer = ASK[what](PromptStore(store, warn))

    assert answer in (True, None, [])
    [warning] = warnings
    assert what in warning


@pytest.mark.parametrize("what", ASK)
def test_an_interrupted_run_does_not_wait_for_a_store_that_hangs(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    monkeypatch.setattr(prompt_store, "LAST_SECONDS", 0.0)
    interruption = Interruption()
    interruption.begin()

    with hanging(monkeypatch) as store, pytest.raises(CutoverError, match=what):
        ASK[what](PromptStore(store, lambda text: None, interruption))


def test_an_interrupted_run_still_keeps_what_the_store_takes_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_store, "LAST_SECONDS", 0.0)
    interruption, store = Interruption(), FakeObjectStore()
    interruption.begin()

    assert PromptStore(store, pytest.fail, interruption).put_new("nights/1", "stopped")
    assert store.texts == {"nights/1": "stopped"}

"""Before upkeep in production the environment's name is typed, or given as an option without a terminal."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from errors import AbortedError, UsageError
from runbooks.cli.confirm import confirmed
from runbooks.engine.live.console import Console
from tests.fakes import rehearsal

REAL = replace(rehearsal(), environment="real", production=True)


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A person at a terminal who types this."""

    def types(word: str) -> None:
        monkeypatch.setattr(Console, "interactive", property(lambda console: True))
        monkeypatch.setattr(Console, "typed", lambda console, prompt: word)

    return types


def test_no_confirmation_is_asked_outside_production() -> None:
    confirmed(rehearsal(), "", "do it")


def test_only_the_typed_name_confirms(typing: Callable[[str], None]) -> None:
    typing("real")
    confirmed(REAL, "", "do it")

    for word in ("", "yes", "rehearsal"):
        typing(word)
        with pytest.raises(AbortedError, match="nothing was done"):
            confirmed(REAL, "", "do it")


def test_without_a_terminal_the_name_must_be_given_as_an_option() -> None:
    confirmed(REAL, "real", "do it")

    with pytest.raises(UsageError, match=r"To do it in real asks for its name, and there is no terminal\.") as asked:
        confirmed(REAL, "", "do it")
    assert asked.value.hint == "--confirm=real says it."
    with pytest.raises(UsageError, match="--confirm: expected real, got 'staging'"):
        confirmed(REAL, "staging", "do it")

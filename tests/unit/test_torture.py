"""The shares of `make torture`: which of all tries are made, and that what was made is not made again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import ledger
from tests.torture.ledger import ALL, TRIES, Ledger

NAMES = ["c", "a", "d", "b"]


@pytest.fixture
def kills(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger in a folder of its own, with no share said."""
    monkeypatch.setattr(ledger, "FOLDER", tmp_path)
    monkeypatch.delenv(TRIES, raising=False)
    return Ledger("kills")


def test_without_a_share_all_tries_are_made(kills: Ledger) -> None:
    assert kills.left(NAMES) == NAMES


def test_a_kind_s_own_share_is_the_beginning_of_all_its_tries(kills: Ledger) -> None:
    assert kills.left(NAMES, 2) == ["c", "a"]


@pytest.mark.parametrize(("said", "made"), [("1", ["c"]), ("3", ["c", "a", "d"]), (ALL, NAMES)])
def test_the_share_that_is_said_counts_for_each_kind(
    kills: Ledger, monkeypatch: pytest.MonkeyPatch, said: str, made: list[str]
) -> None:
    monkeypatch.setenv(TRIES, said)
    assert (kills.left(NAMES, 2), kills.left(NAMES)) == (made, made)


def test_what_was_tried_is_not_tried_again_and_is_summed_up(kills: Ledger) -> None:
    kills.left(NAMES, 2)
    kills.add("c", lost=3, seconds=1.5)
    assert kills.left(NAMES, 2) == ["a"]
    assert ledger.summary().split() == ["kills", "1", "of", "4", "tries", "3", "rows", "lost", "2", "s"]

"""The ledger: a debt begins with the intent, and only proof pays it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runbooks.engine.model.debts import as_data, detailed, owed, summed
from runbooks.engine.model.journal import Journal, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.step import Debt

WATCHER = Debt(what="System Watcher", where="watcher")
BACKUPS = [Debt(what="auto-backup", where=host) for host in ("db-1", "db-2")]


@pytest.fixture
def journal() -> Journal:
    return Journal(now=lambda: datetime(2014, 8, 15, tzinfo=UTC), operator="chris")


def switch_off(journal: Journal, debt: Debt, outcome: Outcome | None) -> None:
    journal.append(Kind.INTENT, step="off", host=debt.where, owes=as_data(debt))
    if outcome:
        journal.append(Kind.RESULT, step="off", host=debt.where, outcome=outcome.value, proof="", owes=as_data(debt))


def switch_on(journal: Journal, debt: Debt, outcome: Outcome) -> None:
    journal.append(Kind.INTENT, step="on", host=debt.where)
    journal.append(Kind.RESULT, step="on", host=debt.where, outcome=outcome.value, proof="", pays=as_data(debt))


@pytest.mark.parametrize("outcome", [None, *(outcome for outcome in Outcome)])
def test_switching_off_is_owed_whatever_its_outcome(journal: Journal, outcome: Outcome | None) -> None:
    switch_off(journal, WATCHER, outcome)
    assert owed(journal.events) == (WATCHER,)


@pytest.mark.parametrize("outcome", list(Outcome))
def test_only_proof_pays(journal: Journal, outcome: Outcome) -> None:
    switch_off(journal, WATCHER, Outcome.DONE)
    switch_on(journal, WATCHER, outcome)
    assert owed(journal.events) == (() if outcome is Outcome.DONE else (WATCHER,))


def test_anything_off_before_the_night_is_owed_too(journal: Journal) -> None:
    journal.append(Kind.RESULT, step="off", host="watcher", outcome="done", proof="already so", owes=as_data(WATCHER))
    assert owed(journal.events) == (WATCHER,)


def test_switched_off_again_it_is_owed_again(journal: Journal) -> None:
    switch_off(journal, WATCHER, Outcome.DONE)
    switch_on(journal, WATCHER, Outcome.DONE)
    switch_off(journal, WATCHER, None)
    assert owed(journal.events) == (WATCHER,)


def test_a_skip_without_an_act_owes_nothing(journal: Journal) -> None:
    journal.append(Kind.RESULT, step="off", host="watcher", outcome="skipped", proof="", owes=as_data(WATCHER))
    assert owed(journal.events) == ()


def test_debts_are_shown_in_a_line_and_in_detail() -> None:
    assert summed([WATCHER, *BACKUPS]) == "System Watcher · auto-backup \N{MULTIPLICATION SIGN}2"
    assert summed([]) == "none"
    assert detailed([WATCHER, *BACKUPS]) == ("System Watcher: watcher", "auto-backup: db-1, db-2")

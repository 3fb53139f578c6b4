"""A pytest plugin: each test runs once as it is, then again under each guard that it passed, switched off."""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import pytest
from _pytest.runner import runtestprotocol

from tests.mutants import instrument, survivors
from tests.mutants.survivors import Guard
from tests.mutants.switch import SWITCH

MOST_TESTS, MOST_SECONDS = 12, 60.0  # a guard that so many quick tests do not miss counts as a survivor


@dataclass(frozen=True)
class _Above:
    """All that is above a test, which pytest keeps standing after it."""

    item: pytest.Item

    def listchain(self) -> list[object]:
        """Return the session, the folder, the file and the class of the test."""
        return list(self.item.listchain()[:-1])


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Have the archiver rewritten before a test, or the tests' fixtures, import it."""
    instrument.install()


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Run the tests as they are, then under every guard; print who survived."""
    passing = _as_it_is(session)
    covering: dict[Guard, list[tuple[float, pytest.Item]]] = defaultdict(list)
    for item, seconds, guards in passing:
        for guard in guards:
            covering[guard].append((seconds, item))
    done = survivors.found()
    switched = sorted(covering, key=lambda guard: (guard.site, guard.off.value))
    for number, guard in enumerate(switched, 1):
        if guard not in done:
            killer = _killer(session, guard, [item for _, item in sorted(covering[guard], key=lambda each: each[0])])
            survivors.write(guard, killer)
            _say(f"[{number}/{len(switched)}] {guard.site} {guard.off.value}: {killer or 'SURVIVED'}")
    _tear_down(session, None)
    return True


def _as_it_is(session: pytest.Session) -> list[tuple[pytest.Item, float, set[Guard]]]:
    """Run each test once; return those that pass with the guards they passed by."""
    passing = []
    for item in session.items:
        if item.get_closest_marker("xfail"):
            continue
        began = time.monotonic()
        SWITCH.passed.clear()
        failed = _fails(session, item)
        seconds, guards = time.monotonic() - began, {Guard(*each) for each in SWITCH.passed}
        if failed or (guards and _fails(session, item)):
            _say(f"fails as it is, or when it runs again, so it judges nothing: {item.nodeid}")
        else:
            passing.append((item, seconds, guards))
    return passing


def _killer(session: pytest.Session, guard: Guard, items: Sequence[pytest.Item]) -> str:
    """Return the first test that fails without this guard, or nothing."""
    began = time.monotonic()
    SWITCH.site, SWITCH.off = guard.site, guard.off
    try:
        for item in items[:MOST_TESTS]:
            if _fails(session, item):
                return item.nodeid
            if time.monotonic() - began > MOST_SECONDS:
                break
        return ""
    finally:
        SWITCH.site, SWITCH.off = "", None


def _fails(session: pytest.Session, item: pytest.Item) -> bool:
    """Run one test, leaving the servers up; return whether any part of it failed."""
    _tear_down(session, item)
    item._initrequest()  # type: ignore[attr-defined]
    reports = runtestprotocol(item, log=False, nextitem=_Above(item))  # type: ignore[arg-type]
    return any(report.failed for report in reports)


def _tear_down(session: pytest.Session, item: pytest.Item | None) -> None:
    """End what the next test does not need; a test under a switch may leave something that can't be ended."""
    session._setupstate.teardown_exact(item)


def _say(line: str) -> None:
    sys.__stdout__.write(f"{line}\n") if sys.__stdout__ else None

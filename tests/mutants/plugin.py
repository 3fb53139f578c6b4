"""A pytest plugin: looks at each test as it is, or runs the tests under each guard that they pass, switched off."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from _pytest.runner import runtestprotocol

from tests.mutants import findings, instrument
from tests.mutants.findings import Guard, Look, Tries
from tests.mutants.switch import SWITCH

MOST_SECONDS = 20.0  # of tests tried on one guard in one run; the next run tries the tests that follow
PATIENCE = 60.0  # seconds beyond ten times what a test takes as it is: then it hangs
BEGIN_AGAIN = 75  # exit code: this process cannot be trusted any more


@dataclass(frozen=True)
class _Above:
    """All that is above a test, which pytest keeps standing after it."""

    item: pytest.Item

    def listchain(self) -> list[object]:
        """Return the session, the folder, the file and the class of the test."""
        return list(self.item.listchain()[:-1])


def pytest_addoption(parser: pytest.Parser) -> None:
    """Have the work, this process's share of it, and whether tests that were tried already are tried again."""
    parser.addoption("--mutants", choices=("look", "switch"), required=True)
    parser.addoption("--share", default="0/1", help="which of how many processes this is")
    parser.addoption("--again", action="store_true")


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests() -> None:
    """Have the archiver rewritten before a test, or the tests' fixtures, import it."""
    instrument.install()


def pytest_runtestloop(session: pytest.Session) -> bool:
    """Do this process's share of the work."""
    items = {item.nodeid: item for item in session.items if not item.get_closest_marker("xfail")}
    if session.config.getoption("mutants") == "look":
        known = {} if session.config.getoption("again") else findings.looks()
        _look(session, [item for item in items.values() if item.nodeid not in known])
    else:
        _Switching(session, items).run()
    _tear_down(session, None)
    return True


def _is_mine(session: pytest.Session, name: str) -> bool:
    """Return whether something is this process's share."""
    number, count = map(int, session.config.getoption("share").split("/"))
    return zlib.crc32(name.encode()) % count == number


def _look(session: pytest.Session, items: Sequence[pytest.Item]) -> None:
    """Run each test of this share once as it is; keep the guards that make a difference to it if it passes."""
    for item in items:
        if _is_mine(session, item.path.name):
            began = time.monotonic()
            SWITCH.passed.clear()
            failed = _fails(session, item)
            passed = () if failed else [str(Guard(*each)) for each in SWITCH.passed]
            findings.write_look(Look(item.nodeid, round(time.monotonic() - began, 3), passed))
            if failed:
                _say(f"fails as it is, so it judges nothing: {item.nodeid}")


class _Switching:
    """Switches off each guard that is open, and runs the tests to which it makes a difference."""

    def __init__(self, session: pytest.Session, items: dict[str, pytest.Item]) -> None:
        self._session = session
        self._items = items
        self._again = bool(session.config.getoption("again"))
        self._places = findings.guards()
        self._kills: Counter[tuple[str, str]] = Counter()  # by the archiver's file and the test
        self._passing: dict[str, list[Look]] = defaultdict(list)
        for look in findings.looks().values():
            for guard in look.guards if look.test in items else ():
                self._passing[guard].append(look)

    def run(self) -> None:
        """Try each guard of this share that no test has missed yet."""
        tried = findings.tries(self._places)
        for guard, place in self._places.items():
            known = tried.get(guard, Tries())
            missed_by = () if self._again else known.missed_by
            looks = [look for look in self._passing[str(guard)] if look.test not in missed_by]
            if looks and not known.killer and _is_mine(self._session, str(guard)):
                found = self._try(guard, looks)
                findings.write_tries(guard, place, found)
                _say(f"{guard}: {found.killer or f'not missed by {len(found.missed_by)} of {len(looks)} tests'}")

    def _try(self, guard: Guard, looks: Sequence[Look]) -> Tries:
        """Return the first test that fails without this guard, and the tests that do not."""
        file, seconds, missed_by = self._places[guard].file, 0.0, list[str]()
        for look in sorted(looks, key=lambda each: each.seconds / (1 + self._kills[file, each.test])):
            if self._fails_without(guard, look):
                self._kills[file, look.test] += 1
                return Tries(missed_by, look.test)
            missed_by.append(look.test)
            seconds += look.seconds
            if seconds > MOST_SECONDS:
                break
        return Tries(missed_by)

    def _fails_without(self, guard: Guard, look: Look) -> bool:
        """Return whether a test fails under a guard switched off, and passes as it is right after."""
        item = self._items[look.test]
        with self._not_for_ever(guard, look):
            SWITCH.site, SWITCH.off = guard.site, guard.off
            try:
                failed = _fails(self._session, item)
            finally:
                SWITCH.site, SWITCH.off = "", None
            if failed and _fails(self._session, item):
                _say(f"{guard}: {look.test} fails as it is, too: begin again")
                findings.write_tries(guard, self._places[guard], Tries([look.test]))
                os._exit(BEGIN_AGAIN)
        return failed

    @contextmanager
    def _not_for_ever(self, guard: Guard, look: Look) -> Iterator[None]:
        """Fail a test that hangs in Python; where it hangs below, keep it as the killer, and begin again."""

        def hangs() -> None:
            findings.write_tries(guard, self._places[guard], Tries((), f"{look.test} (does not end)"))
            os._exit(BEGIN_AGAIN)

        seconds = PATIENCE + 10 * look.seconds
        timer = threading.Timer(2 * seconds, hangs)
        signal.signal(signal.SIGALRM, lambda *_: pytest.fail("does not end"))
        signal.setitimer(signal.ITIMER_REAL, seconds)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            signal.setitimer(signal.ITIMER_REAL, 0)


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
    sys.__stdout__.flush() if sys.__stdout__ else None

"""Standbys on a real server: leftovers of a terminated one, commits that wait for it, and clients that resemble one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pytest

from errors import CutoverError
from inventory.model import Database, Environment
from rehearsal import postgres_programs, postgres_server
from rehearsal.ports import reserved
from rehearsal.postgres_server import Cluster
from runbooks.engine.live.executors import LiveExecutor
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import TaskState
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.preconditions import Finding
from runbooks.engine.model.step import Verdict, together
from runbooks.engine.run import preflight
from runbooks.engine.run.runner import Runner
from runbooks.night.live_ports import Databases
from tests.cases.runbook_receivers import BEHIND, setting, slot, standby, subscriber
from tests.conftest import PASSWORD
from tests.fakes import FakeClock, FakeNight, night_plan, rehearsal

STANDBY, LEFT = "walreceiver", "left_behind"
SYNCHRONOUS = "synchronous_standby_names"


@pytest.fixture(scope="module")
def primary(servers_home: Path) -> Iterator[Cluster]:
    """A server of its own, which subscribers can read from."""
    with reserved(1) as reservation:
        cluster = Cluster(
            programs=postgres_programs.find(servers_home, {}),
            name="primary",
            folder=servers_home / "primary",
            port=reservation.ports[0],
            passfile=servers_home / "primary-passfile",
        )
        postgres_server.write_passfile(cluster.passfile, "*", PASSWORD)
        postgres_server.create(cluster, password=PASSWORD, settings={"wal_level": "logical", "autovacuum": "off"})
        postgres_server.start(cluster)
    yield cluster
    postgres_server.remove(cluster)


@dataclass
class Live(FakeNight):
    """A night in memory whose databases are on a real server; only master's is asked."""

    clock: FakeClock = field(default_factory=lambda: FakeClock(pace=20))
    database: Database = field(kw_only=True)

    @property
    def executor(self) -> LiveExecutor:
        """The live world, but for the databases."""
        return replace(super().executor, sql=Databases({"master": self.database}))

    def proof(self, key: str) -> Verdict:
        """Return the result of a step's proof at master's server, whatever was before."""
        facts = self.context.facts()
        checks = self.plan.step(key).tasks[0].checks
        return together(self.executor.look(check, facts, expected=True) for check in checks)

    def preflight(self) -> tuple[Finding, ...]:
        """Return preflight's findings on master."""
        subjects = [subject for subject in self.plan.preflight if subject.name == "master on db-master"]
        return preflight.examine(subjects, self.executor, self.context.facts)

    def by_hand(self, word: str, act: Callable[[], object]) -> None:
        """Assert the outcome when a person types `standby` and this word at master's server."""

        def acted() -> ProbeOutput:
            act()
            return ProbeOutput()

        self.production.broken[f"db-master: standby {word}"] = acted

    def perform(self, key: str) -> TaskState:
        """Do a step on master's server, and return its outcome."""
        step = self.plan.step(key)
        if not self.journal.events:
            self.context.begin()
        with suppress(CutoverError):
            Runner(self.context).perform(step, step.tasks[:1])
        return self.context.history().task_state(key, "db-master")


@pytest.fixture
def night(primary: Cluster) -> Live:
    return on(primary, rehearsal())


def on(primary: Cluster, environment: Environment) -> Live:
    """A night of this environment on the server."""
    database = Database(name="master", host="db-master", connection=primary.connection())
    return Live(plan=night_plan(environment), database=database)


def test_a_standby_that_is_terminated_and_comes_back_is_in_order_all_the_time(primary: Cluster, night: Live) -> None:
    with ExitStack() as first, ExitStack() as later:
        first.enter_context(standby(primary, STANDBY))
        night.by_hand("terminate", first.close)
        night.by_hand("activate", lambda: later.enter_context(standby(primary, STANDBY)))

        assert [str(finding) for finding in night.preflight() if not finding.verdict.holds] == []
        assert night.perform("replicas.terminate").outcome is Outcome.DONE
        assert night.perform("replicas.activate").outcome is Outcome.DONE


def test_the_proof_of_step_7_reports_a_slot_that_a_standby_left(primary: Cluster, night: Live) -> None:
    with slot(primary, LEFT):
        verdict = night.proof("replicas.terminate")

    assert not verdict.holds or LEFT in verdict.proof, verdict.proof


def test_the_proof_of_step_11_reports_an_unused_slot(primary: Cluster, night: Live) -> None:
    with ExitStack() as first, ExitStack() as later:
        first.enter_context(standby(primary, STANDBY))
        night.by_hand("terminate", first.close)

        def activate() -> None:
            later.enter_context(slot(primary, LEFT))
            later.enter_context(standby(primary, STANDBY))

        night.by_hand("activate", activate)
        assert night.perform("replicas.terminate").outcome is Outcome.DONE
        past = night.perform("replicas.activate")

    assert past.outcome is not Outcome.DONE or LEFT in past.proof, past.proof


def test_preflight_reports_that_commits_wait_for_the_standbys_that_step_7_terminates(
    primary: Cluster, night: Live
) -> None:
    with standby(primary, STANDBY), setting(primary, SYNCHRONOUS, "*"):
        findings = night.preflight()

    assert [str(each) for each in findings if not each.verdict.holds and SYNCHRONOUS in str(each)]


def test_step_7_reports_that_commits_wait_for_missing_standbys(primary: Cluster, night: Live) -> None:
    with setting(primary, SYNCHRONOUS, "*"):
        verdict = night.proof("replicas.terminate")

    assert not verdict.holds or SYNCHRONOUS in verdict.proof, verdict.proof


def test_a_subscription_is_no_standby_before_a_night(primary: Cluster, night: Live) -> None:
    with subscriber(primary, "reporting"):
        assert [finding for finding in night.preflight() if finding.stops]


@pytest.mark.parametrize(
    "receiver",
    [partial(standby, name="wal_archiver"), partial(subscriber, name="reporting")],
    ids=["WAL archiver", "subscription"],
)
def test_step_11_requires_a_standby_like_the_one_before_step_7(
    primary: Cluster, night: Live, receiver: Callable[[Cluster], AbstractContextManager[None]]
) -> None:
    with ExitStack() as first, ExitStack() as later:
        first.enter_context(standby(primary, STANDBY))
        night.by_hand("terminate", first.close)
        night.by_hand("activate", lambda: later.enter_context(receiver(primary)))

        assert night.perform("replicas.terminate").outcome is Outcome.DONE
        past = night.perform("replicas.activate")

    assert past.outcome is not Outcome.DONE, past.proof


def test_two_standbys_with_one_name_are_judged_like_two_with_two_names(primary: Cluster) -> None:
    """In whichever order they stand: one of them has applied all that there is, the other is far behind."""
    night = on(primary, replace(rehearsal(), max_lag=100_000))
    found = {}
    for names in ((STANDBY, STANDBY), ("one", "two")):
        for places in ((None, BEHIND), (BEHIND, None)):
            with standby(primary, names[0], applied=places[0]), standby(primary, names[1], applied=places[1]):
                found[names, places] = tuple(finding.verdict.truth for finding in night.preflight())

    assert len(set(found.values())) == 1, found

"""The operator's answers at each of the sixteen steps: the ledger after it, and the exit code."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from errors import CutoverError
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.debts import owed
from runbooks.engine.model.ports import Choice
from tests.fakes import VACUUM, FakeNight, archive_command

FIVE = ("db-master", "db-shard-1", "db-shard-2", "db-shard-3", "db-shard-4")


@dataclass(frozen=True)
class Line:
    """A step as the ledger sees it, written down by hand."""

    key: str
    act: str  # at its first host
    hosts: tuple[str, ...]
    required: bool = False
    owes: str = ""
    pays: str = ""

    def debts(self, kind: str) -> list[str]:
        """One for each host; the app and the warehouse are one thing each."""
        where = {"maintenance mode": ("the app",), "ETL": ("the warehouse",), SHRINKING: OLD}
        return [f"{kind} ({place})" for place in where.get(kind, self.hosts)] if kind else []


CONTROL, DEBUG, WATCHER, NEW, OLD = ("control",), ("debug",), ("watcher",), ("warehouse-new",), ("warehouse-old",)
SHRINKING = "shrinking the old farm"
ARCHIVE = archive_command()
STOP_ETL = "ttmscalr shutdown:sidekiq -f warehouse-old; ttmscalr shutdown:sidekiq -f warehouse-new"
LEDGER = (
    Line("maintenance.on", "ttmscalr maintenance:on -f rehearsal", CONTROL, required=True, owes="maintenance mode"),
    Line("watcher.stop", "system-watcher stop", WATCHER, owes="System Watcher"),
    Line("warehouse.stop-etl", STOP_ETL, CONTROL, required=True, owes="ETL"),
    Line("backups.disable", "auto-backup off", FIVE, owes="auto-backup"),
    Line("backups.dump", "backup dump", FIVE, required=True),
    Line("backups.transfer", "backup transfer", FIVE, required=True),
    Line("replicas.terminate", "standby terminate", FIVE, owes="standby"),
    Line("archiving.run", ARCHIVE, DEBUG, required=True),
    Line("vacuum.full", VACUUM["db-master"], FIVE),
    Line("snapshots.create", "snapshot create", FIVE),
    Line("replicas.activate", "standby activate", FIVE, pays="standby"),
    Line("warehouse.cut-over", "dns-upsert warehouse.ttm.com warehouse-new", NEW, required=True, owes=SHRINKING),
    Line("warehouse.shrink", "ttmscalr resize:small -f warehouse-old", OLD, pays=SHRINKING),
    Line("backups.enable", "auto-backup on", FIVE, pays="auto-backup"),
    Line("watcher.start", "system-watcher start", WATCHER, pays="System Watcher"),
    Line("maintenance.off", "ttmscalr maintenance:off -f rehearsal", CONTROL, pays="maintenance mode"),
    Line("warehouse.rebuild", "warehouse rebuild", NEW, pays="ETL"),
)
STEPS = pytest.mark.parametrize("line", LEDGER, ids=lambda line: line.key)
AUTOMATIC = ("maintenance.on", "warehouse.stop-etl", "archiving.run", "vacuum.full", "maintenance.off")
MANUAL = [line for line in LEDGER if line.key not in AUTOMATIC]


def test_the_ledger_has_every_step_and_host_of_the_plan() -> None:
    steps = FakeNight().plan.steps
    assert [line.key for line in LEDGER] == [step.key for step in steps]
    assert [line.hosts for line in LEDGER] == [tuple(task.host for task in step.tasks) for step in steps]
    assert [line.required for line in LEDGER] == [step.required for step in steps]


@STEPS
def test_aborting_after_a_failure_leaves_off_what_was_switched_off_so_far(line: Line) -> None:
    fake_night = failing_at(line, Choice.ABORT)

    assert conducted(fake_night) == 11
    assert ledger(fake_night) == off_until(line)


@pytest.mark.parametrize("line", MANUAL, ids=lambda line: line.key)
def test_aborting_at_an_instruction_leaves_off_what_was_switched_off_so_far(line: Line) -> None:
    fake_night = FakeNight()
    fake_night.person.script[f"perform {line.key} {line.hosts[0]}"] = [Choice.ABORT]

    assert conducted(fake_night) == 11
    assert ledger(fake_night) == off_until(line)


@STEPS
def test_skipping_is_refused_where_a_step_is_required_and_never_pays(line: Line) -> None:
    fake_night = failing_at(line, Choice.SKIP)

    code, unpaid = conducted(fake_night), line.debts(line.pays)[:1]
    if line.required:
        assert (code, ledger(fake_night)) == (10, off_until(line))
    else:
        assert (code, ledger(fake_night)) == (13 if unpaid else 0, unpaid)
        assert fake_night.outcomes()[f"{line.key} {line.hosts[0]}"] == "skipped"


@STEPS
def test_tried_again_or_done_by_hand_the_night_ends_with_nothing_owed(line: Line) -> None:
    # A command is run again; what a person does is only looked at again, and then done.
    fake_night = failing_at(line, Choice.RETRY, Choice.BY_HAND)

    assert conducted(fake_night) == 0
    assert ledger(fake_night) == []
    assert fake_night.production.acts.count(f"{line.hosts[0]}: {line.act}") == 1


@pytest.mark.parametrize("line", [line for line in LEDGER if line.key in AUTOMATIC], ids=lambda line: line.key)
def test_a_command_that_failed_can_be_done_by_hand_and_is_proven_all_the_same(line: Line) -> None:
    fake_night = failing_at(line, Choice.BY_HAND)

    assert conducted(fake_night) == 0
    assert ledger(fake_night) == []
    assert f"perform {line.key} {line.hosts[0]}" in fake_night.person.asked


@STEPS
def test_without_an_operator_the_night_stops_as_failed_or_unknown(line: Line) -> None:
    fake_night = failing_at(line)

    # A rebuild that has left no trace can't be told from one that can't be seen.
    assert conducted(fake_night) == (12 if line.key == "warehouse.rebuild" else 10)
    others = line.debts(line.owes)[1:] if line.key in AUTOMATIC else []
    assert sorted(ledger(fake_night)) == sorted(off_until(line) + others)


def failing_at(line: Line, *answers: Choice) -> FakeNight:
    """A night on which the act of a step does nothing, once, at its first host; then come the answers."""
    fake_night = FakeNight()
    act = f"{line.hosts[0]}: {line.act}"

    def nothing_happens() -> ProbeOutput:
        del fake_night.production.broken[act]
        return ProbeOutput()

    fake_night.production.broken[act] = nothing_happens
    fake_night.person.script[f"choose {line.key} {line.hosts[0]}"] = [*answers]
    return fake_night


def conducted(fake_night: FakeNight) -> int:
    """Conduct the night; the exit code."""
    try:
        fake_night.run()
    except CutoverError as error:
        return error.exit_code
    return 0


def ledger(fake_night: FakeNight) -> list[str]:
    """Return the debts in the journal."""
    return [str(debt) for debt in owed(fake_night.journal.events)]


def off_until(line: Line) -> list[str]:
    """Return the debts of a night that stops at the first host of a step."""
    before = LEDGER[: LEDGER.index(line)]
    paid = [debt for earlier in before for debt in earlier.debts(earlier.pays)]
    return [debt for debt in _switched_off(before, line) if debt not in paid]


def _switched_off(before: tuple[Line, ...], line: Line) -> Iterator[str]:
    for earlier in before:
        yield from earlier.debts(earlier.owes)
    yield from line.debts(line.owes)[:1]

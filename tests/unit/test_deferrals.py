"""Steps deferred to a day by a name: the night ends, and the debt stays, with its day, until the work is done."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from errors import CutoverError, ExitCode, Problems
from inventory import load
from inventory.model import Deferral, Environment
from runbooks.cli import due_work
from runbooks.cutover import back_out_steps, plan_of
from runbooks.engine.model.debts import TIMES, detailed, owed, owed_now, summed
from runbooks.engine.model.deferral import deferred_work
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.plan import Plan
from runbooks.engine.reporting.plan_markdown import rendered
from runbooks.engine.run.abandon import abandon_night
from runbooks.night import files, nights
from runbooks.night import run as night_run
from runbooks.night.report.html import page
from runbooks.night.report.markdown import markdown_report
from runbooks.night.report.model import account
from tests.fakes import EVENING, NIGHT, FakeNight, FakeObjectStore, FakeScreen, night_plan, rehearsal
from tests.inside import Said, inv_inside
from tests.operated_night import OperatedNight, operated_night

DUE = date(2014, 8, 29)
REBUILD = {"warehouse.rebuild": Deferral(until=DUE, by="Jim Rondo")}
TEXT = "deferred to 2014-08-29 by Jim Rondo"


def deferring(*keys: str, until: date = DUE, environment: Environment | None = None) -> Environment:
    """An environment that is no lab, whose night leaves steps to a later day."""
    environment = environment or rehearsal()
    defer = {key: Deferral(until=until, by="Jim Rondo") for key in keys}
    night = replace(environment.nights[NIGHT], defer=defer)
    return replace(environment, overlay=None, nights={NIGHT: night})


def night_of(*keys: str) -> FakeNight:
    return FakeNight(plan=night_plan(deferring(*keys)))


def test_the_night_ends_as_done_and_what_is_off_has_its_day() -> None:
    fake_night = night_of("warehouse.rebuild")

    fake_night.run()

    events = fake_night.journal.events
    assert events[-1].kind is Kind.ENDED
    assert fake_night.outcomes()["warehouse.rebuild warehouse-new"] == "deferred"
    assert not [act for act in fake_night.production.acts if "rebuild" in act or "etl on" in act]
    assert not [asked for asked in fake_night.person.asked if "rebuild" in asked]
    assert [(debt.what, debt.due, debt.by) for debt in owed(events)] == [("ETL", DUE, "Jim Rondo")]
    assert owed_now(events) == ()
    assert summed(owed(events)) == "ETL, deferred to 2014-08-29"
    assert detailed(owed(events)) == (f"ETL: the warehouse, {TEXT}",)


def test_work_that_switches_nothing_on_is_owed_itself() -> None:
    fake_night = night_of("snapshots.create")

    fake_night.run()

    assert len(owed(fake_night.journal.events)) == 5
    assert summed(owed(fake_night.journal.events)) == f"Binary snapshot, deferred to 2014-08-29 {TIMES}5"


def test_what_is_proven_already_is_done_and_not_deferred() -> None:
    fake_night = night_of("warehouse.shrink")
    fake_night.production.farm["size"] = "small"

    fake_night.run()

    assert fake_night.outcomes()["warehouse.shrink warehouse-old"] == "done"
    assert owed(fake_night.journal.events) == ()


def test_plan_and_report_say_it_and_no_time_is_planned_for_it() -> None:
    fake_night = night_of("warehouse.rebuild")
    assert f"- **Not in the night: {TEXT}**" in rendered(fake_night.plan)
    assert planned(night_plan()) - planned(fake_night.plan) == timedelta(hours=2)
    assert fake_night.plan.digest != night_plan(deferring()).digest

    fake_night.run()

    seen = account(fake_night.plan, fake_night.journal.events, EVENING, at_work=False)
    for report in (page(seen), markdown_report(seen)):
        assert f"ETL: the warehouse, {TEXT}" in report
        assert f"16, Data warehouse rebuild, warehouse-new: {TEXT}" in report
    assert (seen.state, seen.settled) == ("done", 17)


def planned(plan: Plan) -> timedelta:
    """The time that a plan says it takes."""
    [(hours, minutes)] = re.findall(r"steps, about (?:(\d+) h)?(?: ?(\d+) min)? as planned", rendered(plan))
    return timedelta(hours=int(hours or 0), minutes=int(minutes or 0))


def test_a_resumed_night_neither_does_nor_defers_it_again() -> None:
    fake_night = night_of("warehouse.shrink")
    fake_night.screen.at_step = _stop_at("backups.enable")
    with pytest.raises(KeyboardInterrupt):
        fake_night.run()
    fake_night.screen = FakeScreen()

    fake_night.run()

    assert [event.kind for event in fake_night.journal.events].count(Kind.DEFERRED) == 1
    assert [str(debt) for debt in owed(fake_night.journal.events)] == ["shrinking the old farm (warehouse-old)"]


def _stop_at(key: str) -> Callable[[str], None]:
    def stop(begun: str) -> None:
        if begun == key:
            raise KeyboardInterrupt

    return stop


def test_backing_out_does_deferred_work_that_switches_something_on() -> None:
    fake_night = night_of("warehouse.rebuild")
    fake_night.run()

    abandon_night(fake_night.context, back_out_steps(deferring("warehouse.rebuild"), NIGHT))

    assert owed(fake_night.journal.events) == ()
    assert fake_night.production.etl == {"warehouse-old": False, "warehouse-new": True}


def test_an_abandoned_night_owes_no_work_that_switches_nothing_on() -> None:
    fake_night = night_of("snapshots.create")
    fake_night.screen.at_step = _stop_at("warehouse.cut-over")
    with pytest.raises(KeyboardInterrupt):
        fake_night.run()
    fake_night.screen = FakeScreen()

    abandon_night(fake_night.context, back_out_steps(deferring("snapshots.create"), NIGHT))

    assert owed(fake_night.journal.events) == ()


def test_the_list_of_nights_says_when_it_falls_due() -> None:
    fake_night = night_of("warehouse.rebuild")
    fake_night.run()
    night = nights.summary_of(NIGHT, fake_night.journal.events)

    for day, word in ((DUE, "due on"), (DUE + timedelta(days=1), "OVERDUE since")):
        lines = [line for line in nights.overview(deferring(), [night], day) if isinstance(line, str)]
        assert lines == [f"{WORK}{word} 2014-08-29 (deferred by Jim Rondo); still off: ETL (the warehouse).\n  {DO}"]


def test_in_a_lab_the_day_counts_from_the_day_of_the_rehearsal() -> None:
    plan, real = night_plan(replace(deferring(), overlay=rehearsal().overlay)), night_plan(deferring())
    began = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)

    assert plan.due(REBUILD["warehouse.rebuild"], began) == date(2026, 12, 14)
    assert real.due(REBUILD["warehouse.rebuild"], began) == DUE


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OperatedNight:
    """A night that defers the rebuild."""
    operated = operated_night(monkeypatch, tmp_path)
    operated.environment = deferring("warehouse.rebuild", environment=operated.environment)
    operated.fake_night.plan = night_plan(operated.environment)
    monkeypatch.setattr(due_work, "EnvironmentStore", lambda store: files.object_store_of(operated.environment))
    return operated


def test_done_alone_on_its_day_it_pays_the_debt_and_the_night_is_done_again(operated: OperatedNight) -> None:
    operated.run()
    assert operated.debts == ["ETL (the warehouse)"]

    night_run.run_alone(operated.environment, operated.fake_night.plan, operated.terminal, "warehouse.rebuild")

    assert operated.debts == []
    assert operated.events[-1].kind is Kind.ENDED
    assert due_work.due_work(operated.environment, ask_store=True) == ()


def test_a_day_that_has_passed_is_refused_with_path_and_line_before_anything_is_done(operated: OperatedNight) -> None:
    operated.fake_night.clock.wait(timedelta(days=20))

    with pytest.raises(Problems) as refused:
        operated.run()

    assert refused.value.exit_code is ExitCode.USAGE
    [problem] = refused.value.problems
    assert problem.startswith(
        "nights/2014-08-15/defer/warehouse.rebuild/until: expected 2014-09-04 or a later day, got 2014-08-29 (line "
    )
    assert (operated.events, operated.fake_night.production.acts) == ((), [])


def test_once_deferred_the_night_may_be_resumed_after_that_day(operated: OperatedNight) -> None:
    operated.run()
    operated.fake_night.clock.wait(timedelta(days=20))

    operated.resume()

    assert operated.debts == ["ETL (the warehouse)"]


WRONG = """
nights:
  2014-08-15:
    depth: all
    defer:
      warehouse.rebuild: {until: 2014-08-15, by: " "}
      backups.dump: {until: 2014-08-29, by: Jim}
      maintenance.off: {until: 2014-08-29, by: Jim}
      own.unlink-warehouse: {until: 2014-08-29, by: Jim}
      warehouse.rebuilt: {until: 2014-08-29, by: Jim}
  2014-08-22:
    depth: all
    defer: {warehouse.shrink: {until: 2014-08-01, by: Jim}}
"""
FIXED = "expected a step after the point of no return that may be left out"
MISTAKES = (
    "15/defer/warehouse.rebuild/until: expected a day after the night, got 2014-08-15",
    "15/defer/warehouse.rebuild/by: expected the name of the person who decided it",
    f"15/defer/backups.dump: {FIXED}, got 'backups.dump'",
    f"15/defer/maintenance.off: {FIXED}, got 'maintenance.off'",
    f"15/defer/own.unlink-warehouse: {FIXED}, got 'own.unlink-warehouse'",
    "15/defer/warehouse.rebuilt: unknown key (did you mean warehouse.rebuild?)",
    "22/defer/warehouse.shrink/until: expected a day after the night, got 2014-08-01",
)


def test_every_mistake_of_every_night_is_said_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head, rest = (load.FOLDER / "rehearsal.yaml").read_text().split("\nnights:")
    text = f"{head}\n{WRONG.lstrip()}\noverlay:{rest.split('overlay:')[1]}"
    (tmp_path / "rehearsal.yaml").write_text(text)
    shutil.copy(load.FOLDER / "catalog.yaml", tmp_path)
    monkeypatch.setattr(load, "FOLDER", tmp_path)
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path))

    with pytest.raises(Problems) as raised:
        plan_of(load.load("rehearsal"), NIGHT)

    lines = text.splitlines()
    said = [re.fullmatch(r"(.*) \(line (\d+)\)", problem) for problem in raised.value.problems]
    texts = [mistake[1].removeprefix("nights/2014-08-") for mistake in said if mistake]
    assert [text[: len(start)] for text, start in zip(texts, MISTAKES, strict=True)] == list(MISTAKES)
    at_line = [lines[int(mistake[2]) - 1].split(":")[0].strip() for mistake in said if mistake]
    assert at_line == [start.split("/")[2].split(":")[0] for start in MISTAKES[:-1]] + ["defer"]


@pytest.fixture
def inv(
    operated: OperatedNight, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Said]:
    """Tasks on the machine of a night that has deferred the rebuild."""
    operated.run()
    monkeypatch.setattr("runbooks.cli.call.load_environment", lambda *args, **kwargs: operated.environment)
    return lambda *words: inv_inside(capsys, *words)


def at(monkeypatch: pytest.MonkeyPatch, day: date) -> None:
    monkeypatch.setattr(due_work, "today_in", lambda environment: day)


WORK = "Data warehouse rebuild on warehouse-new, of the night 2014-08-15, is "
DO = "inv cutover.step warehouse.rebuild --date=2014-08-15 --env=rehearsal"


def test_every_task_shows_it_until_its_day(inv: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, DUE)

    for words in (("cutover.plan", "--date=2014-08-15"), ("archive.scope", "--date=2014-08-15", "--files")):
        said = inv(*words)
        assert said.code == 0
        assert said.err == (
            f"! {WORK}due on 2014-08-29 (deferred by Jim Rondo); still off: ETL (the warehouse).\n  {DO}\n"
        )


def test_overdue_it_is_an_exit_code_of_its_own(inv: Callable[..., Said], monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, DUE + timedelta(days=1))

    said = inv("archive.scope", "--date=2014-08-15", "--files")

    assert said.code == ExitCode.DEBT
    assert said.err.count(f"{WORK}OVERDUE since 2014-08-29 (deferred by Jim Rondo)") == 2  # first, and last
    assert "scope depth: all" in said.out
    failed = inv("cutover.plan", "--date=2014-08-16")
    assert failed.code == ExitCode.USAGE  # which says more


def test_a_program_that_reads_json_gets_its_own_exit_code(
    inv: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    at(monkeypatch, DUE + timedelta(days=1))

    said = inv("archive.scope", "--date=2014-08-15", "--files", "--json")

    assert (said.code, said.err) == (0, "")


def test_overdue_is_red_and_due_is_yellow(operated: OperatedNight, monkeypatch: pytest.MonkeyPatch) -> None:
    operated.run()
    styles: list[str] = []
    monkeypatch.setattr(due_work, "alert", lambda text, style: styles.append(style))

    for day in (DUE, DUE + timedelta(days=1)):
        at(monkeypatch, day)
        due_work.show_due_work(operated.environment, ask_store=False)

    assert styles == ["yellow", "bold red"]


def test_what_another_machine_has_done_since_is_seen_in_the_store(
    operated: OperatedNight, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    operated.run()
    before = files.Files(operated.environment, "2014-08-15").journal.read_bytes()
    night_run.run_alone(operated.environment, operated.fake_night.plan, operated.terminal, "warehouse.rebuild")
    files.Files(operated.environment, "2014-08-15").journal.write_bytes(before)  # as this machine last saw it

    assert len(due_work.due_work(operated.environment, ask_store=False)) == 1
    assert due_work.due_work(operated.environment, ask_store=True) == ()

    class Away(FakeObjectStore):
        def names(self, start: str) -> list[str]:
            raise CutoverError("Listing failed: 503.")

    monkeypatch.setattr(due_work, "EnvironmentStore", lambda store: Away())
    assert len(due_work.due_work(operated.environment, ask_store=True)) == 1


def test_deferred_work_ends_with_its_proof_on_its_own_host_alone() -> None:
    fake_night = night_of("snapshots.create")
    fake_night.run()
    events = fake_night.journal.events
    done = replace(
        events[-1],
        number=len(events) + 1,
        kind=Kind.RESULT,
        step="snapshots.create",
        host="db-shard-2",
        data={"outcome": "done", "proof": "", "owes": None, "pays": None},
    )

    assert len(deferred_work(events)) == 5
    assert "db-shard-2" not in {work.host for work in deferred_work((*events, done))}
    assert len(deferred_work((*events, done))) == 4

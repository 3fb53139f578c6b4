"""The report of a night, as a page and as Markdown: answers, proofs, times, costs, debt; and no secret."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta
from html import unescape
from pathlib import Path

import pytest

from errors import AbortedError
from runbooks.cli import due_work
from runbooks.engine.live.console import Console
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Choice
from runbooks.engine.model.redactor import redactor_for
from runbooks.engine.reporting.estimates import LastTime
from runbooks.night import summary
from runbooks.night.listeners import followed
from runbooks.night.report.files import LiveReport, Reporter
from runbooks.night.report.html import page
from runbooks.night.report.markdown import markdown_report
from runbooks.night.report.model import Account
from tests.fakes import SERVERS, FakeNight, Killed, night_plan, rehearsal
from tests.reports import NASTY, at_work, told, whole


@pytest.fixture(scope="module")
def done() -> Account:
    return whole()


def test_every_step_and_host_is_shown_with_its_proof_and_its_times(done: Account) -> None:
    html, markdown = page(done), markdown_report(done)
    for step in done.plan.steps:
        assert f"{step.label}. {step.title}" in unescape(html)
        assert f"### {step.label}. {step.title}" in markdown
    assert html.count('class="host-row"') == 9 + 8 * len(SERVERS)
    assert "503 Service Unavailable at http://app.rehearsal/" in html
    assert (
        "| db-shard-3 | done | 17:45:50 to 17:52:30 | /var/backups/1 of 2014-08-15 21:49:10 UTC, verified |" in markdown
    )
    assert "took 33 min; estimate 1 h, as planned; last time 1 h 11 min on 2013-08-16" in markdown
    assert "schools: 35 archived" in html
    assert done.state == "done"
    assert "refresh" not in html


def test_answers_and_operators_are_in_order(done: Account) -> None:
    assert [deed.what for deed in done.deeds][:6] == [
        "the night begins",
        "step 2, Kill System Watcher, watcher: answered done",
        "step 2, Kill System Watcher, watcher: answered retry",
        "step 2, Kill System Watcher, watcher: answered by hand",
        "step 2, Kill System Watcher, watcher: answered done",
        "step 2, Kill System Watcher, watcher: answered skip",
    ]
    assert "step 8, Run archiving script: typed the date" in [deed.what for deed in done.deeds]
    assert "| 17:04:10 | tester@here | step 2, Kill System Watcher, watcher: answered retry |" in markdown_report(done)
    assert {deed.operator for deed in done.deeds} == {"tester@here"}


def test_the_most_expensive_manual_steps_come_first(done: Account) -> None:
    costs = [(step.step.key, step.spent) for step in done.costs]
    assert [key for key, _ in costs[:2]] == ["backups.dump", "backups.transfer"]
    assert [spent for _, spent in costs] == sorted((spent for _, spent in costs if spent), reverse=True)
    assert all(step.manual for step in done.costs)
    assert "vacuum.full" not in [key for key, _ in costs]
    assert "| 5. DB backup | 33 min |" in markdown_report(done)


def test_a_night_at_work_shows_its_clock_and_debt_and_refreshes_itself() -> None:
    now = at_work("vacuum.full")
    html, markdown = page(now), markdown_report(now)
    assert now.state == "running"
    assert '<meta http-equiv="refresh" content="10">' in html
    assert "8 of 17 steps" in html
    assert "<dt>elapsed</dt><dd>1 h 56 min</dd>" in html
    assert "<li>standby: db-master, db-shard-1, db-shard-2, db-shard-3, db-shard-4</li>" in html
    assert "- auto-backup: db-master, db-shard-1, db-shard-2, db-shard-3, db-shard-4" in markdown


def test_an_interrupted_act_is_unknown_once_no_run_is_at_work() -> None:
    fake_night = FakeNight()
    fake_night.journal = fake_night.journal.next_life(fake_night.clock, dies_at=2)
    with pytest.raises(Killed):
        fake_night.run()

    [running, lost] = [told(fake_night, at_work=by_a_run).steps[0] for by_a_run in (True, False)]
    assert (running.outcome, running.hosts[0].outcome) == (Outcome.RUNNING, Outcome.RUNNING)
    assert (lost.outcome, lost.hosts[0].outcome) == (Outcome.UNKNOWN, Outcome.UNKNOWN)
    assert told(fake_night, at_work=False).state == "not running"


def test_an_abandoned_night_is_labeled_so_and_has_only_its_way_back_left() -> None:
    fake_night = FakeNight()
    fake_night.person.script["perform backups.disable db-master"] = [Choice.ABORT]
    with pytest.raises(AbortedError):
        fake_night.run()
    fake_night.journal.append(Kind.ABANDONED)

    given_up = told(fake_night, at_work=True)
    assert given_up.state == "abandoned"
    assert given_up.forecast.left == timedelta(minutes=2 + 2 + 120 + 10)  # maintenance, watcher, ETL, auto-backup
    assert [deed.what for deed in given_up.deeds][-2:] == [
        f"the night stops. {fake_night.journal.events[-2].data['reason']}",
        "the night is abandoned",
    ]


def test_no_text_from_outside_is_markup(done: Account) -> None:
    html, markdown = page(done), markdown_report(done)
    assert NASTY in unescape(html)
    assert "<script" not in html
    assert "<script" not in markdown
    assert "\\| \\`&amp;\\`" in markdown
    assert "http" not in html.split("<body>")[0]  # nothing is fetched from anywhere


def test_a_report_of_a_night_with_secrets_holds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_TOKEN", "t0ken-of-the-store")
    environment = rehearsal()
    commands = {**environment.commands, "watcher.stop": "PGPASSWORD=hunter2hunter2 kill-it --key t0ken-of-the-store"}
    fake_night = FakeNight(plan=night_plan(replace(environment, commands=commands)))
    fake_night.journal._redactor = redactor_for(environment)
    with pytest.raises(AssertionError, match="hunter2"):  # the world in memory knows no such command
        fake_night.run()

    for text in (page(told(fake_night, at_work=False)), markdown_report(told(fake_night, at_work=False))):
        assert "hunter2" not in text
        assert "t0ken" not in text


def reporter(fake_night: FakeNight, folder: Path) -> Reporter:
    return Reporter(plan=fake_night.plan, folder=folder, last=LastTime(), figures=summary.figures)


def test_the_report_written_as_each_step_begins_counts_finished_steps(tmp_path: Path) -> None:
    fake_night, warnings, seen = FakeNight(), list[str](), list[str]()
    live = LiveReport(reporter(fake_night, tmp_path / "night"), fake_night.journal, fake_night.clock, warnings.append)

    def look(key: str) -> None:
        live.write([])
        seen.append((tmp_path / "night" / "report.md").read_text().splitlines()[2].partition(";")[0])

    fake_night.screen.at_step = look
    fake_night.run()

    assert warnings == []
    assert seen == [f"- {through} of 17 steps" for through in range(17)]
    assert sorted(path.name for path in (tmp_path / "night").iterdir()) == ["report.html", "report.md"]


def test_a_report_that_cannot_be_written_is_reported_once_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    fake_night, warnings = FakeNight(), list[str]()
    live = LiveReport(reporter(fake_night, tmp_path / "file"), fake_night.journal, fake_night.clock, warnings.append)
    fake_night.screen.at_step = lambda key: live.write([])
    fake_night.run()

    assert set(fake_night.outcomes().values()) == {"done"}
    assert warnings == [
        f"Using the folder {tmp_path / 'file'} failed: File exists. The night goes on; there is no second warning."
    ]


def test_the_report_follows_a_night_and_is_whole_when_its_run_is_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(due_work, "ROOT", tmp_path)
    environment, fake_night, paper = replace(rehearsal(), state="state"), FakeNight(), io.StringIO()
    console = Console(clock=fake_night.clock, file=paper)
    with followed(environment, fake_night.plan, fake_night.journal, LastTime(), console):
        fake_night.run()

    assert paper.getvalue() == ""
    written = (tmp_path / "state/rehearsal/2014-08-15/report.md").read_text()
    assert written.startswith("# Cutover of 2014-08-15 in rehearsal: done\n")
    assert "schools: 35 archived, 1 left out" in written

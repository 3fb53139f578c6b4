"""A team's own steps: in plan, run, journal, report, debt and scope like any other; their mistakes, all at once."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from errors import ExitCode, Problems, UsageError
from inventory import load
from inventory.model import Environment
from inventory.own_step import OwnStep
from inventory.scope import scope_of
from runbooks import cutover
from runbooks.cutover import back_out_steps, plan_of
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.debts import owed
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.step import Mark
from runbooks.engine.reporting.plan_markdown import rendered
from runbooks.engine.run.abandon import abandon_night
from runbooks.engine.run.preflight import examine
from runbooks.engine.run.runner import StepFailed
from runbooks.night import files
from runbooks.night import run as night_run
from runbooks.night.report.html import page
from runbooks.night.report.markdown import markdown_report
from runbooks.night.report.model import account
from tests.fakes import EVENING, NIGHT, NIGHT_2013, FakeNight, rehearsal_with_own_steps
from tests.unit.test_abandon import stopped_before

OF_2014 = {
    "7a": "own.unlink-warehouse",
    "9a": "own.deploy-reporting",
    "14a": "own.revert-auto-enroll",
    "15a": "own.relink-warehouse",
}
OF_2013 = {
    "4a": "own.unlink-warehouse",
    "7a": "own.deploy-reporting",
    "7b": "own.relink-warehouse",
    "11a": "own.revert-auto-enroll",
}


def plan_with(**changes: Any) -> Plan:
    """The night with the first own step changed."""
    return plan_of(changed(**changes), NIGHT)


def changed(**changes: Any) -> Environment:
    environment = rehearsal_with_own_steps()
    unlink = replace(environment.own_steps["unlink-warehouse"], **changes)
    return replace(environment, own_steps={**environment.own_steps, "unlink-warehouse": unlink})


def own_of(plan: Plan) -> dict[str, str]:
    return {step.label: step.key for step in plan.steps if step.own}


def test_they_stand_between_the_steps_of_both_checklists_which_keep_their_numbers() -> None:
    of_2014, of_2013 = (plan_of(rehearsal_with_own_steps(), NIGHT, name) for name in ("2014", "2013"))

    assert own_of(of_2014) == OF_2014
    assert own_of(of_2013) == OF_2013
    numbered = [step.label for step in of_2014.steps if not step.between]
    assert numbered == [str(number) for number in range(1, 17)]
    assert (of_2014.last_number, of_2013.last_number) == (16, 12)
    assert own_of(plan_with(before="maintenance.on"))["0a"] == "own.unlink-warehouse"
    assert [step.mark for step in of_2014.steps if step.own] == [
        *(Mark.MANUAL, Mark.AUTOMATE, Mark.AUTOMATE, Mark.MANUAL)
    ]


def test_one_of_other_nights_is_in_no_plan_of_this_one() -> None:
    environment = rehearsal_with_own_steps()
    only = {name: replace(own, nights=(date(2014, 8, 22),)) for name, own in environment.own_steps.items()}
    environment = replace(environment, own_steps=only)

    assert own_of(plan_of(environment, NIGHT)) == {}
    assert own_of(plan_of(environment, date(2014, 8, 22))) == OF_2014


def test_the_plan_says_which_step_a_checklist_goes_without() -> None:
    environment = changed(before="warehouse.cut-over")
    note = (
        "- Not in this checklist: Unlink the warehouse from the main database (own.unlink-warehouse), as it has no step"
    )

    assert f"{note} warehouse.cut-over." in rendered(plan_of(environment, NIGHT_2013, "2013"))
    assert "Not in this checklist" not in rendered(plan_of(environment, NIGHT))


@pytest.mark.parametrize(("night", "checklist"), [(NIGHT, "2014"), (NIGHT_2013, "2013")])
def test_a_night_does_and_proves_each_in_its_place(night: date, checklist: str) -> None:
    fake_night = FakeNight(plan=plan_of(rehearsal_with_own_steps(), night, checklist))

    fake_night.run()

    assert set(fake_night.outcomes().values()) == {"done"}
    assert owed(fake_night.journal.events) == ()
    world, acts = fake_night.production, fake_night.production.acts
    assert world.linked
    assert world.features == {"auto-enroll-pathways": "reverted", "time-spent-doing-math": "deployed"}
    archived = next(number for number, act in enumerate(acts) if "archive.all" in act)
    assert acts.index("db-master: warehouse-link off") < archived < acts.index("db-master: warehouse-link on")
    assert acts.count("control: release deploy time-spent-doing-math") == 1


def test_journal_and_report_have_them_like_any_other() -> None:
    fake_night = FakeNight(plan=plan_of(rehearsal_with_own_steps(), NIGHT))
    fake_night.run()

    events = fake_night.journal.events
    assert set(OF_2014.values()) <= set(events[0].data["steps"])
    assert [(event.kind, event.host) for event in events if event.step == "own.unlink-warehouse"] == [
        *((Kind.INTENT, "db-master"), (Kind.ANSWER, "db-master"), (Kind.RESULT, "db-master"))
    ]
    seen = account(fake_night.plan, events, EVENING, at_work=False)
    for text in (page(seen), markdown_report(seen)):
        assert "7a. Unlink the warehouse from the main database" in text
        assert "its probe prints unlinked" in text


def test_the_printed_plan_has_command_proof_and_debt() -> None:
    text = rendered(plan_of(rehearsal_with_own_steps(), NIGHT))

    assert "## 7a. Unlink the warehouse from the main database · MANUAL" in text
    assert "- **A team's own step, own.unlink-warehouse**" in text
    assert "  - still off from here on: warehouse link (db-master)" in text
    assert "- [ ] control: `release deploy time-spent-doing-math`" in text
    assert "its probe prints deployed (on control: release status time-spent-doing-math)" in text
    assert "- 21 steps, about" in text


def test_what_is_so_already_is_not_done_again() -> None:
    fake_night = FakeNight(plan=plan_of(rehearsal_with_own_steps(), NIGHT))
    fake_night.production.features["auto-enroll-pathways"] = "reverted"

    fake_night.run()

    assert fake_night.outcomes()["own.revert-auto-enroll control"] == "done"
    assert not [act for act in fake_night.production.acts if "release revert" in act]


def test_a_step_that_its_probe_does_not_prove_stops_the_night() -> None:
    fake_night = FakeNight(plan=plan_of(rehearsal_with_own_steps(), NIGHT))
    fake_night.production.broken["control: release deploy time-spent-doing-math"] = ProbeOutput

    with pytest.raises(StepFailed, match="Step 9a of 16, Deploy the reporting code") as failed:
        fake_night.run()

    assert "control: failed: its probe prints reverted, expected deployed" in str(failed.value)


def test_backing_out_pays_them_while_the_product_is_closed() -> None:
    environment = rehearsal_with_own_steps()
    fake_night = FakeNight(plan=plan_of(environment, NIGHT))
    stopped_before(fake_night, "archiving.run")
    assert "warehouse link (db-master)" in [str(debt) for debt in owed(fake_night.journal.events)]

    abandon_night(fake_night.context, back_out_steps(environment, NIGHT))

    assert owed(fake_night.journal.events) == ()
    assert fake_night.production.linked
    last = [act.split(": ", 1)[1] for act in fake_night.production.acts[-3:]]
    assert last == ["warehouse-link on", "etl on", "ttmscalr maintenance:off -f rehearsal"]


def test_preflight_stops_if_a_proof_can_not_be_read() -> None:
    fake_night = FakeNight(plan=plan_of(rehearsal_with_own_steps(), NIGHT))
    fake_night.production.broken["db-master: warehouse-link status"] = lambda: ProbeOutput(code=127, error="not found")

    findings = examine(fake_night.plan.preflight, fake_night.executor, fake_night.context.facts)

    problems = [str(finding) for finding in findings if finding.stops]
    assert len(problems) == 2  # of both steps that it proves
    assert problems[0].startswith("own.unlink-warehouse: it can be checked whether its probe prints unlinked: ")
    assert "could not tell: expected a word, got '' (exit 127)" in problems[1]


def test_a_change_of_an_own_step_is_another_scope_and_another_plan() -> None:
    ours, theirs = rehearsal_with_own_steps(), changed(required=False)

    mine, other = (scope_of(environment, environment.night(NIGHT)) for environment in (ours, theirs))

    assert mine.steps
    assert [difference.split(":")[0] for difference in mine.differences(other, "sent")] == ["steps"]
    assert plan_of(ours, NIGHT).digest != plan_of(theirs, NIGHT).digest


def test_another_checkout_with_other_own_steps_stops_preflight() -> None:
    fake_night = FakeNight(plan=plan_of(rehearsal_with_own_steps(), NIGHT), other_checkouts=True)
    theirs = FakeNight(plan=plan_of(changed(probe="true"), NIGHT))
    assert theirs.executor  # which says what its checkout is
    fake_night.production.scope, fake_night.production.inventory = theirs.plan.scope, theirs.production.inventory

    findings = examine(fake_night.plan.preflight, fake_night.executor, fake_night.context.facts)

    problems = [str(finding) for finding in findings if finding.stops]
    assert any(
        re.search(r"debug: another scope than this machine's: steps: .*inventory: own_steps", each) for each in problems
    )


def test_one_alone_is_named_by_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    performed: list[str] = []
    monkeypatch.setattr(files, "events_of", lambda environment, date: ())
    monkeypatch.setattr(night_run, "run_alone", lambda *args: performed.append(args[-1]))

    cutover.perform_alone("own.relink-warehouse", rehearsal_with_own_steps(), NIGHT, "")
    with pytest.raises(UsageError, match=r"The checklist of 2014 has no step own\.relink\.") as unknown:
        cutover.perform_alone("own.relink", rehearsal_with_own_steps(), NIGHT, "")

    assert performed == ["own.relink-warehouse"]
    assert "own.relink-warehouse" in unknown.value.hint


WRONG = """
own_steps:
  Unlink Warehouse:
    title: " "
    before: archiving.runn
    after: vacuum.full
    hosts: [db-master, ghost, db-master]
    role: control
    expect: unlinked
    owes: warehouse link
  deploy:
    title: Deploy
    nights: [2014-08-16]
    role: pilot
    command: release deploy {feature}
    probe: release status {database}
    pays: lamp
  lock:
    title: Lock
    after: vacuum.full
    hosts: [control]
    command: lock
    probe: lock status
    expect: two words
    owes: ETL
  light:
    title: Light
    before: archiving.run
    hosts: [watcher]
    command: "off {database}"
    probe: light
    expect: "off"
    owes: light
  early:
    title: Light again
    after: maintenance.on
    role: watcher
    command: "on"
    probe: light
    expect: "on"
    pays: light
"""
MISTAKES = """
own_steps/Unlink Warehouse: expected a name of lower-case letters, digits and hyphens
own_steps/Unlink Warehouse/title: expected a title, got an empty one
own_steps/Unlink Warehouse: expected command or instructions, got neither
own_steps/Unlink Warehouse/probe: expected a read-only command that proves the step, got nothing
own_steps/Unlink Warehouse: expected before or after, got both
own_steps/Unlink Warehouse/before: expected one of app.point,
own_steps/Unlink Warehouse: expected hosts or role, got both
own_steps/Unlink Warehouse/hosts/2: expected one of control, debug,
own_steps/Unlink Warehouse/hosts/3: expected each host once, got 'db-master' again
own_steps/Unlink Warehouse/owes: expected a later own step that pays 'warehouse link'
own_steps/deploy/expect: expected the word that the probe prints once the step is done, got nothing
own_steps/deploy: expected before or after, got neither
own_steps/deploy/nights/1: expected a night of this inventory, got 2014-08-16
own_steps/deploy/role: expected one of control, debug, database, watcher, warehouse, got 'pilot'
own_steps/deploy/pays: expected what another own step owes, got 'lamp'
own_steps/lock/owes: expected another word than that of a step of the checklist, got 'ETL'
own_steps/light/command: expected one of {date} {year} {years} {host} for watcher, got {database}
own_steps/light/owes: expected a later own step that pays 'light' on the same hosts and nights, by the checklist of 2014
own_steps/light/owes: expected a later own step that pays 'light' on the same hosts and nights, by the checklist of 2013
"""


def test_every_mistake_is_said_at_once_with_path_and_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    head, rest = (load.FOLDER / "rehearsal.yaml").read_text().split("# What must also accompany")
    text = head + WRONG.lstrip() + "\nnights:" + rest.split("\nnights:")[1]
    (tmp_path / "rehearsal.yaml").write_text(text)
    shutil.copy(load.FOLDER / "catalog.yaml", tmp_path)
    monkeypatch.setattr(load, "FOLDER", tmp_path)
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path))

    with pytest.raises(Problems) as raised:
        plan_of(load.load("rehearsal"), NIGHT)

    assert raised.value.exit_code is ExitCode.USAGE
    said, expected = list(raised.value.problems), MISTAKES.strip().splitlines()
    assert [mistake for mistake in said if not any(map(mistake.startswith, expected))] == []
    assert [start for start in expected if not any(mistake.startswith(start) for mistake in said)] == []
    lines = text.splitlines()
    for mistake in said:
        [number] = re.findall(r" \(line (\d+)\)$", mistake)
        assert mistake.split(": ")[0].split("/")[1] in "\n".join(lines[: int(number)]), mistake
    [ghost] = [mistake for mistake in said if "hosts/2" in mistake]
    assert "ghost" in lines[int(ghost.split("(line ")[1].rstrip(")")) - 1]


@pytest.mark.parametrize(
    ("payer", "complaint"),
    [
        ({"hosts": ("db-shard-1",)}, True),  # elsewhere
        ({"nights": (date(2014, 8, 22),)}, True),  # not this night
        ({"before": "maintenance.on"}, True),  # too early
        ({"before": "warehouse.cut-over"}, True),  # not by the checklist of 2013
        ({"hosts": (), "role": "database"}, False),  # there, and elsewhere
    ],
)
def test_what_is_switched_off_must_be_switched_on_by_a_later_step(payer: dict[str, Any], complaint: bool) -> None:
    environment = rehearsal_with_own_steps()
    relink = replace(environment.own_steps["relink-warehouse"], **payer)
    environment = replace(environment, own_steps={**environment.own_steps, relink.name: relink})

    if complaint:
        with pytest.raises(Problems, match="own_steps/unlink-warehouse/owes: expected a later own step"):
            plan_of(environment, NIGHT)
    else:
        assert plan_of(environment, NIGHT)


def test_the_prefix_of_their_keys_is_written_in_journals() -> None:
    assert OwnStep(name="unlink-warehouse", title="Unlink").key == "own.unlink-warehouse"

"""The plan: sixteen steps in order, every problem reported before the start, and the Markdown of the same list."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from errors import ExitCode, Problems, UsageError
from formatting import in_minutes
from inventory.load import load, names
from inventory.model import Environment, Exclusion, Inclusion, OwnDepths, Queue
from runbooks.cutover import SIXTEEN, plan_of
from runbooks.engine.model.actions import DetachedJob, HttpGet, RemoteCommand
from runbooks.engine.model.plan import Plan, numbered, validated
from runbooks.engine.model.step import Check, Debt, HostTask, Mark, Step, holds
from runbooks.engine.reporting.plan_markdown import rendered
from tests.fakes import NIGHT, SERVERS, archive_command, night_plan, rehearsal

KEYS = [
    "maintenance.on",
    "watcher.stop",
    "warehouse.stop-etl",
    "backups.disable",
    "backups.dump",
    "backups.transfer",
    "replicas.terminate",
    "archiving.run",
    "vacuum.full",
    "snapshots.create",
    "replicas.activate",
    "warehouse.cut-over",
    "warehouse.shrink",
    "backups.enable",
    "watcher.start",
    "maintenance.off",
    "warehouse.rebuild",
]
BROKER = "the broker of the workers answers"
CHECK = Check(title="it answers", looks=(HttpGet(url="http://x/"),), judge=lambda outputs, facts: holds("it does"))


def with_commands(environment: Environment, **commands: str) -> Environment:
    return replace(environment, commands={**environment.commands, **{key: commands[key] for key in commands}})


def small_plan(*steps: Step) -> Plan:
    return Plan(title="P", environment="e", date="2014-08-15", resume="inv go-on", steps=numbered(steps))


def step(key: str, *tasks: HostTask, mark: Mark = Mark.MANUAL, title: str = "T") -> Step:
    return Step(key=key, title=title, mark=mark, tasks=tasks)


def test_the_sixteen_steps_are_in_the_order_of_the_checklist() -> None:
    plan = night_plan()
    assert [step.key for step in plan.steps] == KEYS
    numbers = [str(number) for number in range(1, 17)]
    assert [step.label for step in plan.steps] == [*numbers[:12], "12.4", *numbers[12:]]
    assert [build.key for build in SIXTEEN] == KEYS


@pytest.mark.parametrize("name", names())
def test_every_night_of_every_inventory_can_be_planned(name: str) -> None:
    environment = load(name)
    assert environment.nights or name == "local"  # no night is run on a developer's machine
    for night in environment.nights:
        assert [step.key for step in plan_of(environment, night).steps if not step.own] == KEYS


def test_marks_hosts_and_the_point_of_no_return_are_the_missions() -> None:
    plan = night_plan()
    automate = [step.number for step in plan.steps if step.mark is Mark.AUTOMATE]
    five = [step.number for step in plan.steps if [task.host for task in step.tasks] == list(SERVERS)]
    assert automate == [1, 3, 8, 9, 15]
    assert five == [4, 5, 6, 7, 9, 10, 11, 13]
    assert [step.number for step in plan.steps if step.point_of_no_return] == [8]


def test_a_command_makes_a_manual_step_automatic_with_the_same_proof() -> None:
    by_hand = night_plan().step("backups.dump")
    promoted = night_plan(with_commands(rehearsal(), **{"backups.dump": "pg_backup {database} {year}"})).step(
        "backups.dump"
    )
    assert not by_hand.automatic
    assert promoted.automatic
    assert promoted.mark is Mark.MANUAL
    assert promoted.tasks[1].action == DetachedJob(
        host="db-shard-1", command="pg_backup shard_1 2013", timeout=timedelta(hours=12)
    )
    assert [str(check) for task in promoted.tasks for check in task.checks] == [
        str(check) for task in by_hand.tasks for check in task.checks
    ]


def test_placeholders_are_quoted_in_commands_and_not_in_instructions() -> None:
    environment = rehearsal()
    hosts = {"the control": replace(environment.hosts["control"], name="the control"), **environment.hosts}
    del hosts["control"]
    odd = replace(
        environment, hosts=hosts, instructions={**environment.instructions, "watcher.stop": "On {date} {host}"}
    )
    plan = night_plan(with_commands(odd, **{"maintenance.on": "go {host} {date}"}))
    assert plan.step("maintenance.on").tasks[0].action == RemoteCommand(
        host="the control", command="go 'the control' 2014-08-15"
    )
    assert plan.step("watcher.stop").tasks[0].instructions == "On 2014-08-15 watcher"


def test_step_eight_starts_this_tool_on_the_debug_host() -> None:
    action = night_plan().step("archiving.run").tasks[0].action
    assert str(action) == f"on debug, detached: {archive_command()}"
    production = replace(rehearsal(), production=True, tool="/opt/inv")
    words = night_plan(production).step("archiving.run").tasks[0].action
    assert str(words).endswith(f": /opt/{archive_command(production)} --yes-production")


def test_every_error_in_the_inventory_is_reported_at_once_with_its_path() -> None:
    environment = rehearsal()
    commands = {"vacuum.full": "vacuumdb {dbname} {oops}", "archiving.run": "x", "maintenance.onn": "y"}
    instructions = {key: text for key, text in environment.instructions.items() if key != "watcher.stop"}
    with pytest.raises(Problems) as told:
        plan_of(replace(environment, commands=commands, instructions=instructions), NIGHT)
    assert told.value.exit_code is ExitCode.USAGE
    paths = [problem.split(":")[0] for problem in told.value.problems]
    assert paths == [
        *["commands/vacuum.full"] * 5,
        "commands/archiving.run",
        "commands/maintenance.onn",
        "commands/maintenance.on",
        "instructions/watcher.stop",
        "commands/warehouse.stop-etl",
        "commands/maintenance.off",
    ]


def test_a_database_name_that_is_not_in_the_inventory_is_an_error_and_not_a_brace() -> None:
    environment = rehearsal()
    databases = {
        **environment.databases,
        "shard_2": replace(environment.databases["shard_2"], connection={"service": "s"}),
    }
    commands = {**environment.commands, "vacuum.full": "vacuumdb --full --analyze --dbname={dbname}"}
    with pytest.raises(Problems, match=r"commands/vacuum.full: .* for db-shard-2, got \{dbname\}"):
        plan_of(replace(environment, databases=databases, commands=commands), NIGHT)


def test_a_night_that_the_inventory_does_not_have_is_refused() -> None:
    with pytest.raises(UsageError, match="no night 2014-08-16 in the inventory"):
        plan_of(rehearsal(), NIGHT.replace(day=16))


def test_exclusions_depth_and_the_age_of_backups_are_in_the_plan_and_at_the_prompt() -> None:
    environment = rehearsal()
    night = replace(
        environment.nights[NIGHT],
        exclude=Exclusion(schools=(21, 22), customers=(3,)),
        backup_max_age=timedelta(hours=26),
    )
    plan = night_plan(replace(environment, nights={NIGHT: night}))
    warning = "\n".join(plan.step("archiving.run").warning)
    for text in (rendered(plan), warning):
        assert "2013-14, depth all" in text
        assert "left out: schools 21, 22 and customers 3" in text
        assert "Backups may be up to 26 h old: what was written since then could be lost." in text


def test_an_include_list_is_in_the_plan_and_at_the_prompt_with_its_reasons() -> None:
    environment = rehearsal()
    only = Inclusion(schools={13: "closed, OPS-511"}, customers={99: "will not renew, OPS-510", 98: "left"})
    night = replace(environment.nights[NIGHT], only=only)

    plan = night_plan(replace(environment, nights={NIGHT: night}))

    listed = "Only customers 99 (will not renew, OPS-510), 98 (left) and schools 13 (closed, OPS-511) of 2013-14"
    for text in (rendered(plan), "\n".join(plan.step("archiving.run").warning)):
        assert listed in text


def test_depths_of_schools_and_customers_are_in_the_plan_and_at_the_prompt_with_their_meaning() -> None:
    environment = rehearsal()
    own = OwnDepths(schools={13: "promote", 14: "students"}, customers={98: "promote", 99: "promote"})
    night = replace(environment.nights[NIGHT], depths=own)

    plan = night_plan(replace(environment, nights={NIGHT: night}))

    meaning = "classrooms and activity are deleted; school, staff and students stay"
    for text in (rendered(plan), "\n".join(plan.step("archiving.run").warning)):
        assert f"Depth promote ({meaning}) for customers 98, 99 and schools 13." in text
        assert "school and staff stay) for schools 14." in text


def test_the_markdown_has_every_host_command_and_proof() -> None:
    plan = night_plan()
    text = rendered(plan)
    assert text.count("\n## ") == 18  # preflight, 16 steps and 12.4
    for step_ in plan.steps:
        assert f"## {step_.label}. {step_.title} · {step_.shown_mark.value}" in text
        for task in step_.tasks:
            assert f"- [ ] {task.host}" in text
            assert all(f"  - proof: {check}" in text for check in task.checks)
            assert task.action is None or f"`{task.action.instruction.removeprefix('$ ')}`" in text
    assert "`$ auto-backup off`" in text
    assert "ETL is enabled on at most one warehouse" in text


def test_the_digest_is_stable_and_changes_with_what_would_be_done() -> None:
    assert night_plan().digest == night_plan().digest
    changed = night_plan(with_commands(rehearsal(), **{"maintenance.on": "ttmscalr maintenance:on -f staging"}))
    assert changed.digest != night_plan().digest


def test_the_whole_procedure_is_checked_and_every_problem_reported_at_once() -> None:
    debt = Debt(what="lamp", where="h")
    task = HostTask(host="h", checks=(CHECK,), instructions="Do it.")
    plan = small_plan(
        step("a", replace(task, owes=debt)),
        step("a", task, title=" "),
        step("b"),
        step("c", task, task),
        step("d", HostTask(host="h", checks=())),
        step("e", task, mark=Mark.AUTOMATE),
    )
    with pytest.raises(Problems) as told:
        validated(plan)
    assert told.value.problems == (
        "a: it has no title",
        "b: there is no host to do it on",
        "c: the host h stands in it twice",
        "d on h: nothing proves it",
        "d on h: a person does it, and there are no instructions",
        "e on h: it is marked AUTOMATE and there is no command for it",
        "a: two steps have this key",
        "a on h: no later step switches lamp (h) on again",
    )


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(), "0 min"),
        (timedelta(minutes=45), "45 min"),
        (timedelta(hours=2), "2 h"),
        (timedelta(hours=2, minutes=5), "2 h 5 min"),
    ],
)
def test_durations_are_readable(span: timedelta, text: str) -> None:
    assert in_minutes(span) == text


def test_step_8_counts_on_the_workers_that_the_inventory_names_and_preflight_on_their_broker() -> None:
    alone, several = (replace(rehearsal(), queue=Queue(broker="redis://queue", workers=number)) for number in (None, 8))

    assert "celery" not in archiving(plan_of(alone, NIGHT))
    assert BROKER not in looked_at(plan_of(alone, NIGHT))
    assert "--engine=celery --workers=8" in archiving(plan_of(several, NIGHT))
    assert BROKER in looked_at(plan_of(several, NIGHT))


def archiving(plan: Plan) -> str:
    """Return the command of step 8 on the debug host."""
    [task] = plan.step("archiving.run").tasks
    assert isinstance(task.action, DetachedJob)
    return task.action.command


def looked_at(plan: Plan) -> set[str]:
    """Return the preconditions of preflight."""
    return {each.check.title for subject in plan.preflight for each in subject.preconditions}

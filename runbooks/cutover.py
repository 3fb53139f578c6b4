"""The cutover: the sixteen steps of 2014 in their order, the twelve of 2013, and the tasks that go by them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date as Date  # noqa: N812 - tasks have an option called date
from functools import partial

from invoke.collection import Collection
from invoke.context import Context

from archiver.format import encryption
from errors import Problems, UsageError
from inventory.model import Environment
from platforms import heroku
from runbooks.cli.task import Addresses, load_environment, parse_date, task
from runbooks.engine.live.console import say
from runbooks.engine.model.history import read_history
from runbooks.engine.model.plan import Plan, numbered, paying, validated
from runbooks.engine.model.redactor import redactor_for
from runbooks.engine.reporting.plan_markdown import rendered
from runbooks.engine.run.abandon import BackOutSteps
from runbooks.engine.run.context import RunContext
from runbooks.night import abandon, files
from runbooks.night import run as night_run
from runbooks.night import status as night_status
from runbooks.night.rehearsal import rehearsed
from runbooks.preflight.subjects import subjects
from runbooks.steps import (
    app,
    archiving,
    backups,
    feeds,
    maintenance,
    replicas,
    retirement,
    snapshots,
    tasks,
    vacuum,
    warehouse,
    watcher,
)
from runbooks.steps.context import Build, NightContext, inventory_mistakes

SIXTEEN: tuple[Build, ...] = (
    maintenance.on,
    watcher.stop,
    warehouse.stop_etl,
    backups.disable,
    backups.dump,
    backups.transfer,
    replicas.terminate,
    archiving.run,
    vacuum.full,
    snapshots.create,
    replicas.activate,
    warehouse.cut_over,
    backups.enable,
    watcher.start,
    maintenance.off,
    warehouse.rebuild,
)
TWELVE: tuple[Build, ...] = (  # of 2013; whom to leave out stands in the inventory before
    maintenance.on,
    backups.dump,
    retirement.rename,
    retirement.stop_etl,
    archiving.run,
    feeds.truncate,
    vacuum.full,
    warehouse.rebuild,
    app.point,
    app.restart,
    retirement.spin_down,
    maintenance.off,
)
CHECKLISTS: Mapping[str, tuple[Build, ...]] = {"2014": SIXTEEN, "2013": TWELVE}
DEFAULT = "2014"
EVERY = tuple(dict.fromkeys(build for builds in CHECKLISTS.values() for build in builds))
TAKE_OVER = "although somebody on another machine is at work: once that machine is gone for good"
HELP = {
    **tasks.HELP,
    "checklist": f"{' or '.join(CHECKLISTS)}; {DEFAULT} if left out",
    "dry-run": "show every host, command and proof; look at nothing and do nothing",
}
BEGUN = {**HELP, "checklist": f"{' or '.join(CHECKLISTS)}; the night's own if left out, {DEFAULT} before it began"}


@task(help=HELP)
def run(
    context: Context,
    date: str = "",
    checklist: str = DEFAULT,
    dry_run: bool = False,
    env: str = "",
    yes_production: bool = False,
) -> None:
    """The whole night: sixteen steps, each done, proven and journalled; `--checklist=2013` is that of another year."""
    day = parse_date(date)
    addresses = Addresses.UNASKED if dry_run else Addresses.NEEDED
    environment = load_environment(env, yes_production=yes_production, read_only=dry_run, addresses=addresses)
    plan = plan_of(environment, day, checklist)
    if dry_run:
        night_run.run_dry(environment, plan)
    else:
        night_run.run(environment, plan, night_run.terminal_of(environment))


@task(help=HELP)
def preflight(context: Context, date: str = "", checklist: str = DEFAULT, env: str = "") -> None:
    """Look at everything that must hold before a night, and tell every problem at once; run does so too."""
    day = parse_date(date)
    environment = load_environment(env, read_only=True)
    night_run.look_before(environment, plan_of(environment, day, checklist), night_run.terminal_of(environment))


@task(help=HELP)
def plan(context: Context, date: str = "", checklist: str = DEFAULT, env: str = "") -> None:
    """The checklist as Markdown, with every host, command and proof."""
    day = parse_date(date)
    environment = load_environment(env, read_only=True, addresses=Addresses.UNASKED)
    say(redactor_for(environment).clean(rendered(plan_of(environment, day, checklist))))


@task(help={**BEGUN, "follow": "show it again whenever something happens, until the run ends or Ctrl-C"})
def status(context: Context, date: str = "", follow: bool = False, checklist: str = "", env: str = "") -> None:
    """Where a night stands: steps, proofs, who is at work, what is still switched off; also from another machine."""
    day = parse_date(date)
    environment = load_environment(env, read_only=True, addresses=Addresses.UNASKED)
    show = night_status.follow_status if follow else night_status.show_status
    show(environment, plan_at(environment, day, checklist))


@task(help={**BEGUN, "to": "the folder it is written into; the night's own, beside its journal, if left out"})
def report(context: Context, date: str = "", to: str = "", checklist: str = "", env: str = "") -> None:
    """Write the report of a night as one HTML page and as Markdown: timeline, proofs, answers, times, debt."""
    day = parse_date(date)
    environment = load_environment(env, read_only=True, addresses=Addresses.UNASKED)
    night_status.write_report(environment, plan_at(environment, day, checklist), to)


@task(help={**BEGUN, "take-over": TAKE_OVER})
def resume(
    context: Context,
    date: str = "",
    checklist: str = "",
    env: str = "",
    take_over: bool = False,
    yes_production: bool = False,
) -> None:
    """Go on with a night that stopped, also from another machine; what is done is not done again."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production, addresses=Addresses.WELCOME)
    night_run.resume(
        environment, plan_at(environment, day, checklist), night_run.terminal_of(environment), take_over=take_over
    )


@task(help={**BEGUN, "take-over": TAKE_OVER})
def back_out(
    context: Context,
    date: str = "",
    checklist: str = "",
    env: str = "",
    take_over: bool = False,
    yes_production: bool = False,
) -> None:
    """Give a night up: switch on whatever it owes, each proven, maintenance mode last."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production, addresses=Addresses.WELCOME)
    terminal, owed = night_run.terminal_of(environment), back_out_steps(environment, day)
    abandon.back_out(environment, plan_at(environment, day, checklist), terminal, owed, take_over=take_over)


@task(
    help={
        **BEGUN,
        "stop": "stop what still runs, once the date is typed; without it that is only shown",
        "take-over": TAKE_OVER,
    }
)
def abort(
    context: Context,
    date: str = "",
    checklist: str = "",
    env: str = "",
    stop: bool = False,
    take_over: bool = False,
    yes_production: bool = False,
) -> None:
    """Say what of a stopped night still runs, and on which host; with `--stop`, end it there."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production, addresses=Addresses.WELCOME)
    plan, terminal = plan_at(environment, day, checklist), night_run.terminal_of(environment)
    abandon.abort(environment, plan, terminal, stop=stop, take_over=take_over)


@task(help=BEGUN)
def approve(context: Context, date: str = "", checklist: str = "", env: str = "", yes_production: bool = False) -> None:
    """Approve the point of no return, as the second person whom the inventory asks for; from any machine."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production, addresses=Addresses.UNASKED)
    night_run.approve(environment, plan_at(environment, day, checklist), night_run.terminal_of(environment))


def plan_at(environment: Environment, day: Date, checklist: str, default: str = DEFAULT) -> Plan:
    """The plan of a night that may have begun: by the checklist that its journal names, else by the default.

    Raises UsageError where another is asked for, and Problems as `plan_of` does.
    """
    plan = plan_of(environment, day, checklist or default)
    began = read_history(files.events_of(environment, plan.date)).checklist
    if checklist and began not in ("", checklist):
        hint = f"Leave --checklist out, or say --checklist={began}."
        raise UsageError(f"The night of {day} goes by the checklist of {began}, not of {checklist}.", hint=hint)
    return plan if began in ("", plan.checklist) else plan_of(environment, day, began)


def plan_of(environment: Environment, day: Date, checklist: str = DEFAULT) -> Plan:
    """The night's plan; UsageError for an unknown checklist, Problems with everything that is wrong with the plan."""
    builds = builds_of(checklist)
    night_context = NightContext(environment=environment, date=day)
    encryption.parsed(environment.store.recipients)  # step 8 would be late to learn that a key is mistyped
    steps = numbered(build(night_context) for build in builds)
    if mistakes := list(
        inventory_mistakes(night_context, (*steps, warehouse.start_etl(night_context)), {build.key for build in EVERY})
    ):
        raise Problems(f"The inventory {environment.name}.yaml does not fit this checklist:", mistakes)
    return validated(
        Plan(
            title=f"Cutover of {day} in {environment.name}"
            + (f", by the checklist of {checklist}" if checklist != DEFAULT else ""),
            checklist=checklist,
            environment=environment.name,
            date=day.isoformat(),
            resume=f"inv cutover.resume --date={day} --env={environment.name}",
            back_out=f"inv cutover.back-out --date={day} --env={environment.name}",
            approve=f"inv cutover.approve --date={day} --env={environment.name}" if environment.second_person else "",
            notes=(
                archiving.scope(night_context),
                *backups.loss(night_context),
                *heroku.sources(environment),
                *warehouse.left_to_a_person(steps),
                *how_to_type(environment),
            ),
            steps=steps,
            preflight=subjects(night_context, steps),
            invariants=(warehouse.at_most_one_etl(night_context),),
            zone=environment.zone,
            window_end=partial(environment.window_end, day),
        )
    )


def builds_of(checklist: str) -> tuple[Build, ...]:
    """What builds the steps of a checklist; UsageError for an unknown one."""
    if checklist not in CHECKLISTS:
        raise UsageError(f"--checklist: expected {' or '.join(CHECKLISTS)}, got {checklist or 'nothing'}.")
    return CHECKLISTS[checklist]


def back_out_steps(environment: Environment, day: Date) -> BackOutSteps:
    """What switches on whatever a night owes, maintenance mode last; the ETL on the warehouse that is in use."""
    night_context = NightContext(environment=environment, date=day)

    def plan(run_context: RunContext) -> Plan:
        etl = warehouse.rebuild if warehouse.moved(night_context, run_context.history()) else warehouse.start_etl
        builds = (replicas.activate, backups.enable, watcher.start, etl, maintenance.off)
        steps = numbered(paying((build(night_context) for build in builds), run_context.debts()))
        return replace(run_context.plan, title=f"What {run_context.plan.title} owes", steps=steps)

    return plan


def rehearse(
    environment: Environment, day: Date, checklist: str = DEFAULT, *, go_on: bool = False, take_over: bool = False
) -> None:
    """The whole night with a played person: on a fresh journal, or what is left of it.

    Raises UsageError anywhere but in a rehearsal.
    """
    rehearsed(environment, plan_of(environment, day, checklist), go_on=go_on, take_over=take_over)


def how_to_type(environment: Environment) -> tuple[str, ...]:
    """How a person reaches a host of the lab; a real host is reached as always."""
    if environment.overlay is None:
        return ()
    return ('Type on a host of the lab with: inv rehearsal.shell --host=HOST --command="…"',)


def perform_alone(key: str, date: str, checklist: str, env: str, yes_production: bool) -> None:
    """One step of the night; UsageError where its checklist does not have it."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production)
    having = next(name for name, builds in CHECKLISTS.items() if key in {build.key for build in builds})
    plan = plan_at(environment, day, checklist, having)
    if key not in {step.key for step in plan.steps}:
        raise UsageError(f"The checklist of {plan.checklist} has no step {key}.")
    night_run.run_alone(environment, plan, night_run.terminal_of(environment), key)


namespace = Collection("cutover", run, preflight, plan, status, report, resume, back_out, abort, approve)
areas = tasks.collections(EVERY, perform_alone)

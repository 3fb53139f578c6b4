"""The 2014 cutover: sixteen steps, in order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import date as Date  # noqa: N812 - tasks have an option called date
from functools import partial

from invoke.collection import Collection
from invoke.context import Context

from archiver import encryption
from errors import Problems, UsageError
from inventory.model import Environment
from runbooks import alone
from runbooks.engine.clock import SystemClock
from runbooks.engine.console import Console, say
from runbooks.engine.fleet import Fleet
from runbooks.engine.giving_up import Payments
from runbooks.engine.markdown import rendered
from runbooks.engine.plan import Plan, numbered, paying, validated
from runbooks.engine.redactor import redactor_for
from runbooks.engine.stage import Stage
from runbooks.engine.step import Step
from runbooks.front import load_environment, parse_date, task
from runbooks.nights import abandon, night, watching
from runbooks.nights.played import Played
from runbooks.preflight.subjects import subjects
from runbooks.steps import archiving, backups, maintenance, replicas, snapshots, vacuum, warehouse, watcher
from runbooks.tonight import Tonight, inventory_mistakes

SIXTEEN: tuple[Callable[[Tonight], Step], ...] = (
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
TAKE_OVER = "although somebody on another machine is at work: once that machine is gone for good"
HELP = {
    **alone.HELP,
    "dry-run": "show every host, command and proof; look at nothing and do nothing",
}


@task(help=HELP)
def run(context: Context, date: str = "", dry_run: bool = False, env: str = "", yes_production: bool = False) -> None:
    """The whole night: sixteen steps, each done, proven and journalled."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production, read_only=dry_run)
    plan = plan_of(environment, day)
    if dry_run:
        night.run_dry(environment, plan)
    else:
        night.run(environment, plan, night.cast(environment))


@task(help=HELP)
def preflight(context: Context, date: str = "", env: str = "") -> None:
    """Look at everything that must hold before a night, and tell every problem at once; run does so too."""
    day = parse_date(date)
    environment = load_environment(env, read_only=True)
    night.look_before(environment, plan_of(environment, day), night.cast(environment))


@task(help=HELP)
def plan(context: Context, date: str = "", env: str = "") -> None:
    """The checklist as Markdown, with every host, command and proof."""
    day = parse_date(date)
    environment = load_environment(env, read_only=True)
    say(redactor_for(environment).clean(rendered(plan_of(environment, day))))


@task(help={**HELP, "follow": "show it again whenever something happens, until the run ends or Ctrl-C"})
def status(context: Context, date: str = "", follow: bool = False, env: str = "") -> None:
    """Where a night stands: steps, proofs, who is at work, what is still switched off; also from another machine."""
    day = parse_date(date)
    environment = load_environment(env, read_only=True)
    show = watching.follow_status if follow else watching.show_status
    show(environment, plan_of(environment, day))


@task(help={**HELP, "to": "the folder it is written into; the night's own, beside its journal, if left out"})
def report(context: Context, date: str = "", to: str = "", env: str = "") -> None:
    """Write the report of a night as one HTML page and as Markdown: timeline, proofs, answers, times, debt."""
    day = parse_date(date)
    environment = load_environment(env, read_only=True)
    watching.write_report(environment, plan_of(environment, day), to)


@task(help={**HELP, "take-over": TAKE_OVER})
def resume(
    context: Context, date: str = "", env: str = "", take_over: bool = False, yes_production: bool = False
) -> None:
    """Go on with a night that stopped, also from another machine; what is done is not done again."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production)
    night.resume(environment, plan_of(environment, day), night.cast(environment), take_over=take_over)


@task(help={**HELP, "take-over": TAKE_OVER})
def pay(context: Context, date: str = "", env: str = "", take_over: bool = False, yes_production: bool = False) -> None:
    """Give a night up: switch on whatever it owes, each proven, maintenance mode last."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production)
    cast, owed = night.cast(environment), payments(environment, day)
    abandon.pay(environment, plan_of(environment, day), cast, owed, take_over=take_over)


@task(
    help={
        **HELP,
        "stop": "stop what still runs, once the date is typed; without it that is only shown",
        "take-over": TAKE_OVER,
    }
)
def abort(
    context: Context,
    date: str = "",
    env: str = "",
    stop: bool = False,
    take_over: bool = False,
    yes_production: bool = False,
) -> None:
    """Say what of a stopped night still runs, and on which host; with `--stop`, end it there."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production)
    plan, cast = plan_of(environment, day), night.cast(environment)
    abandon.abort(environment, plan, cast, stop=stop, take_over=take_over)


@task(help=HELP)
def approve(context: Context, date: str = "", env: str = "", yes_production: bool = False) -> None:
    """Approve the point of no return, as the second person whom the inventory asks for; from any machine."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production)
    night.approve(environment, plan_of(environment, day), night.cast(environment))


def plan_of(environment: Environment, day: Date) -> Plan:
    """The night's plan; Problems with everything that is wrong with it."""
    tonight = Tonight(environment=environment, date=day)
    encryption.parsed(environment.store.recipients)  # step 8 would be late to learn that a key is mistyped
    steps = numbered(build(tonight) for build in SIXTEEN)
    if mistakes := list(inventory_mistakes(tonight, (*steps, warehouse.start_etl(tonight)))):
        raise Problems(f"The inventory {environment.name}.yaml does not fit this checklist:", mistakes)
    return validated(
        Plan(
            title=f"Cutover of {day} in {environment.name}",
            environment=environment.name,
            date=day.isoformat(),
            resume=f"inv cutover.resume --date={day} --env={environment.name}",
            pay=f"inv cutover.pay --date={day} --env={environment.name}",
            approve=f"inv cutover.approve --date={day} --env={environment.name}" if environment.second_person else "",
            notes=(archiving.scope(tonight), *backups.loss(tonight), *how_to_type(environment)),
            steps=steps,
            preflight=subjects(tonight, steps),
            invariants=(warehouse.at_most_one_etl(tonight),),
            zone=environment.zone,
            window_end=partial(environment.window_end, day),
        )
    )


def payments(environment: Environment, day: Date) -> Payments:
    """What switches on whatever a night owes, maintenance mode last; the ETL on the warehouse that is in use."""
    tonight = Tonight(environment=environment, date=day)

    def plan(stage: Stage) -> Plan:
        etl = warehouse.rebuild if warehouse.moved(tonight, stage.history()) else warehouse.start_etl
        builds = (replicas.activate, backups.enable, watcher.start, etl, maintenance.off)
        steps = numbered(paying((build(tonight) for build in builds), stage.debts()))
        return replace(stage.plan, title=f"What {stage.plan.title} owes", steps=steps)

    return plan


def rehearse(environment: Environment, day: Date, *, go_on: bool = False, take_over: bool = False) -> None:
    """The whole night with a played person: on a fresh journal, or what is left of it.

    Raises UsageError anywhere but in a rehearsal.
    """
    if environment.production or environment.overlay is None:
        raise UsageError(f"{environment.name} is no rehearsal: nobody plays the person there.")
    clock = SystemClock()
    console = Console(clock=clock, redactor=redactor_for(environment))
    plan = plan_of(environment, day)
    with closing(Fleet(environment.hosts, environment.ssh)) as fleet:
        cast = night.Cast(clock, console, Played(fleet, console))
        if go_on:
            night.resume(environment, plan, cast, take_over=take_over)
        else:
            night.run(environment, plan, cast, afresh=True)


def how_to_type(environment: Environment) -> tuple[str, ...]:
    """How a person reaches a host of the lab; a real host is reached as always."""
    if environment.overlay is None:
        return ()
    return ('Type on a host of the lab with: inv rehearsal.shell --host=HOST --command="…"',)


def perform_alone(key: str, date: str, env: str, yes_production: bool) -> None:
    """One step of the night."""
    day = parse_date(date)
    environment = load_environment(env, yes_production=yes_production)
    night.run_alone(environment, plan_of(environment, day), night.cast(environment), key)


namespace = Collection("cutover", run, preflight, plan, status, report, resume, pay, abort, approve)
areas = alone.collections(SIXTEEN, perform_alone)

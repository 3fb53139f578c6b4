"""The cutover: the sixteen steps of 2014 in their order, the twelve of 2013, and the tasks that follow them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date as Date  # noqa: N812 - tasks have an option called date
from functools import partial

from invoke.collection import Collection

from archiver.format import encryption
from errors import Problems, UsageError
from inventory.load import with_lines
from inventory.model import Environment
from platforms import heroku
from runbooks import jobs
from runbooks.cli.environment import Addresses
from runbooks.cli.options import ACTS, DRY_RUN, JSON_LINES, NIGHT, READS, Option
from runbooks.cli.parse import one_of
from runbooks.cli.task import task
from runbooks.engine.live.console import say
from runbooks.engine.model.history import read_history
from runbooks.engine.model.plan import Plan, Watched, numbered, paying, validated
from runbooks.engine.model.redactor import redactor_for
from runbooks.engine.model.step import Step
from runbooks.engine.reporting.estimates import counted
from runbooks.engine.reporting.plan_markdown import rendered
from runbooks.engine.run.abandon import BackOutSteps
from runbooks.engine.run.context import RunContext
from runbooks.night import abandon, files
from runbooks.night import approve as night_approve
from runbooks.night import nights as night_list
from runbooks.night import run as night_run
from runbooks.night import status as night_status
from runbooks.night import watch as night_watch
from runbooks.night.begin import count_now
from runbooks.night.rehearsal import rehearsed
from runbooks.preflight import disks
from runbooks.preflight.subjects import subjects
from runbooks.steps import (
    app,
    archiving,
    backups,
    feeds,
    maintenance,
    old_farm,
    replicas,
    retirement,
    snapshots,
    tasks,
    vacuum,
    warehouse,
    watcher,
)
from runbooks.steps.context import Build, NightContext
from runbooks.steps.deferrals import with_deferrals
from runbooks.steps.mistakes import all_mistakes
from runbooks.steps.own_steps import not_in, own_payers, with_own_steps
from runbooks.steps.scope import counted_on_debug

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
    old_farm.shrink,  # 12.4
    backups.enable,
    watcher.start,
    maintenance.off,
    warehouse.rebuild,
)
TWELVE: tuple[Build, ...] = (  # of 2013; the inventory has its exclusions
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
EXAMPLE = "--date=2014-08-15"
CHECKLIST = Option(name="checklist", help=" or ".join(CHECKLISTS), parse=one_of(tuple(CHECKLISTS)), default=DEFAULT)
BEGUN = CHECKLIST.but(default="", unset=f"the night's own, {DEFAULT} before it began")
ONLY_SHOWN = DRY_RUN.but(help="show every host, command and proof; check nothing and do nothing", offline=True)
TAKE_OVER = Option(
    name="take_over",
    help="continue although another machine has the night: only once that machine has failed for good",
    default=False,
)
TO = Option(name="to", help="the folder to write it into", unset="the night's own, beside its journal")
KEY = Option(name="key", help="its key, as inv cutover.plan shows it", positional=True, required=True)
FOLLOW = Option(
    name="follow", help="show it again whenever something happens, until the run ends or Ctrl-C", default=False
)
ONCE = Option(name="once", help="look once, and exit with 13 if it stands still, 12 if it can't be seen", default=False)
COUNT = Option(name="count", help="count on the debug host what the night archives", default=False)
STOP = Option(name="stop", help="stop what still runs, once the date is typed", default=False)


@task("cutover.run", NIGHT, CHECKLIST, ONLY_SHOWN, *ACTS, example=EXAMPLE)
def run(environment: Environment, date: Date, checklist: str, dry_run: bool) -> None:
    """Run the whole night: sixteen steps, each done, verified and journaled; `--checklist=2013` for that of 2013."""
    plan = plan_of(environment, date, checklist)
    if dry_run:
        night_run.run_dry(environment, plan)
    else:
        night_run.run(environment, plan, night_run.terminal_of(environment))


@task("cutover.preflight", NIGHT, CHECKLIST, *READS, example=EXAMPLE)
def preflight(environment: Environment, date: Date, checklist: str) -> None:
    """Check everything that must hold before a night, and report every problem at once; run does so too."""
    night_run.look_before(environment, plan_of(environment, date, checklist), night_run.terminal_of(environment))


@task("cutover.plan", NIGHT, CHECKLIST, COUNT, *READS, example=EXAMPLE, addresses=Addresses.UNASKED)
def plan(environment: Environment, date: Date, checklist: str, count: bool) -> None:
    """Print the checklist as Markdown, with every host, command and proof; with `--count`, the night's figures."""
    made = plan_of(environment, date, checklist)
    figures = count_now(environment, counted_on_debug(environment, date)) if count else None
    say(redactor_for(environment).clean(rendered(counted(made, figures), figures)))


@task("cutover.list", JSON_LINES, *READS, addresses=Addresses.UNASKED)
def list_nights(environment: Environment, json: bool) -> None:
    """List every night: its state, steps and schools, what is still switched off, and what falls due."""
    night_list.show_nights(environment, json=json)


@task("cutover.status", NIGHT, FOLLOW, BEGUN, *READS, example=EXAMPLE, addresses=Addresses.UNASKED)
def status(environment: Environment, date: Date, follow: bool, checklist: str | None) -> None:
    """Show a night: steps, proofs, running work, what is still switched off; also from another machine."""
    show = night_status.follow_status if follow else night_status.show_status
    show(environment, plan_at(environment, date, checklist))


@task("cutover.watch", NIGHT, ONCE, BEGUN, *READS, example=EXAMPLE, addresses=Addresses.UNASKED)
def watch(environment: Environment, date: Date, once: bool, checklist: str | None) -> None:
    """Watch a night from a second machine, by the shared journal, and call when it stands still."""
    plan, terminal = plan_at(environment, date, checklist), night_run.terminal_of(environment)
    if once:
        night_watch.look_once(environment, plan, terminal.clock, terminal.console.say)
    else:
        night_watch.watch(environment, plan, terminal.clock, terminal.console)


@task("cutover.report", NIGHT, TO, BEGUN, *READS, example=EXAMPLE, addresses=Addresses.UNASKED)
def report(environment: Environment, date: Date, to: str, checklist: str | None) -> None:
    """Write the report of a night, as one HTML page and as Markdown: timeline, proofs, answers, times, debt."""
    night_status.write_report(environment, plan_at(environment, date, checklist), to)


@task("cutover.step", KEY, NIGHT, BEGUN, *ACTS, example=f"own.unlink-warehouse {EXAMPLE}")
def step(environment: Environment, key: str, date: Date, checklist: str | None) -> None:
    """Run one step of a night alone, such as one of the team's own.

    Skips if already done; journaled with its night.
    """
    perform_alone(key, environment, date, checklist)


@task("cutover.resume", NIGHT, BEGUN, TAKE_OVER, *ACTS, example=EXAMPLE, addresses=Addresses.WELCOME)
def resume(environment: Environment, date: Date, checklist: str | None, take_over: bool) -> None:
    """Continue a night that stopped, also from another machine; what is done is not done again."""
    night_run.resume(
        environment, plan_at(environment, date, checklist), night_run.terminal_of(environment), take_over=take_over
    )


@task("cutover.back-out", NIGHT, BEGUN, TAKE_OVER, *ACTS, example=EXAMPLE, addresses=Addresses.WELCOME)
def back_out(environment: Environment, date: Date, checklist: str | None, take_over: bool) -> None:
    """Abandon a night: switch everything back on, each verified, maintenance mode last."""
    terminal, steps = night_run.terminal_of(environment), back_out_steps(environment, date)
    abandon.back_out(environment, plan_at(environment, date, checklist), terminal, steps, take_over=take_over)


@task("cutover.abort", NIGHT, BEGUN, STOP, TAKE_OVER, *ACTS, example=EXAMPLE, addresses=Addresses.WELCOME)
def abort(environment: Environment, date: Date, checklist: str | None, stop: bool, take_over: bool) -> None:
    """Show the jobs of a stopped night that still run, and their hosts; with `--stop`, end them there."""
    plan, terminal = plan_at(environment, date, checklist), night_run.terminal_of(environment)
    abandon.abort(environment, plan, terminal, stop=stop, take_over=take_over)


@task("cutover.approve", NIGHT, BEGUN, *ACTS, example=EXAMPLE, addresses=Addresses.UNASKED)
def approve(environment: Environment, date: Date, checklist: str | None) -> None:
    """Approve the point of no return, as the second person that the inventory asks for; from any machine."""
    night_approve.approve(environment, plan_at(environment, date, checklist), night_run.terminal_of(environment))


def plan_at(environment: Environment, day: Date, checklist: str | None, default: str = DEFAULT) -> Plan:
    """Return the plan of a night that may have begun: by the checklist of its journal, else by the default.

    Raises UsageError if another checklist is asked for, and Problems as `plan_of` does.
    """
    plan = plan_of(environment, day, checklist or default)
    began = read_history(files.events_of(environment, plan.date)).checklist
    if checklist and began not in ("", checklist):
        hint = f"Leave --checklist out, or say --checklist={began}."
        raise UsageError(f"The night of {day} goes by the checklist of {began}, not of {checklist}.", hint=hint)
    return plan if began in ("", plan.checklist) else plan_of(environment, day, began)


def plan_of(environment: Environment, day: Date, checklist: str = DEFAULT) -> Plan:
    """Return the night's plan; UsageError for an unknown checklist, Problems with all mistakes of the plan."""
    builds = builds_of(checklist)
    night_context = NightContext(environment=environment, date=day)
    environment.night(day)  # says that there is none, before a step asks for a host that only nights need
    encryption.parsed(environment.store.recipients)  # a mistyped key must not surface as late as step 8
    built = [build(night_context) for build in builds if build.applies(night_context)]
    if mistakes := all_mistakes(night_context, built, CHECKLISTS):
        located = with_lines(environment, mistakes)
        raise Problems(f"The inventory {environment.name}.yaml does not fit this checklist:", located)
    steps = numbered(with_deferrals(with_own_steps(built, night_context), night_context))
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
            notes=_notes(night_context, steps, builds),
            scope=night_context.scope,
            steps=steps,
            preflight=subjects(night_context, steps),
            invariants=(warehouse.at_most_one_etl(night_context),),
            watched=(
                Watched(check=maintenance.stays_on(night_context), stops=True),
                *(Watched(check=check, stops=False) for check in disks.has_room(night_context)),
            ),
            of_a_lab=environment.overlay is not None,
            zone=environment.zone,
            window_end=partial(environment.window_end, day),
        )
    )


def _notes(night_context: NightContext, steps: Sequence[Step], builds: Sequence[Build]) -> tuple[str, ...]:
    """Return what a person must know before the night, a sentence each."""
    return (
        *archiving.scope_lines(night_context),
        *backups.loss(night_context),
        *heroku.sources(night_context.environment),
        *(old_farm.left_to_a_person(night_context) if warehouse.cut_over in builds else ()),
        *not_in(steps, night_context),
        *how_to_type(night_context.environment),
    )


def builds_of(checklist: str) -> tuple[Build, ...]:
    """Return the functions that build the steps of a checklist; UsageError for an unknown one."""
    if checklist not in CHECKLISTS:
        raise UsageError(f"--checklist: expected {' or '.join(CHECKLISTS)}, got {checklist or 'nothing'}.")
    return CHECKLISTS[checklist]


def back_out_steps(environment: Environment, day: Date) -> BackOutSteps:
    """Return the steps that switch everything back on, maintenance mode last; the ETL on the warehouse in use."""
    night_context = NightContext(environment=environment, date=day)

    def plan(run_context: RunContext) -> Plan:
        debts = run_context.debts()
        etl = (_etl_again(night_context, run_context),) if warehouse.DEBT in debts else ()
        first = [build(night_context) for build in (replicas.activate, backups.enable, watcher.start)]
        last = [
            build(night_context) for build in (old_farm.shrink, *etl, maintenance.off) if build.applies(night_context)
        ]
        payers = paying((*first, *own_payers(night_context), *last), debts)
        steps = numbered(replace(step, between=False, letter="") for step in payers)
        return replace(run_context.plan, title=f"{run_context.plan.title}: what is still off", steps=steps)

    return plan


def _etl_again(night_context: NightContext, run_context: RunContext) -> Build:
    """Return the step that enables the ETL again: after a rebuild, if the new warehouse must take this night's changes.

    Raises UnknownError if the warehouse in use can't be determined.
    """
    if not run_context.shows("the new warehouse is in use", warehouse.new_in_use(run_context.plan.steps)):
        return warehouse.start_etl(night_context.old_warehouse)
    if run_context.committed or warehouse.moved(night_context, run_context.history()):
        return warehouse.rebuild
    return warehouse.start_etl(night_context.new_warehouse)


def rehearse(
    environment: Environment, day: Date, checklist: str = DEFAULT, *, go_on: bool = False, take_over: bool = False
) -> None:
    """Run the whole night with a simulated operator: on a fresh journal, or the rest of it.

    Raises UsageError anywhere but in a rehearsal.
    """
    rehearsed(environment, plan_of(environment, day, checklist), go_on=go_on, take_over=take_over)


def how_to_type(environment: Environment) -> tuple[str, ...]:
    """Return how an operator types on a host of the lab; nothing for real hosts."""
    if environment.overlay is None:
        return ()
    return ('Type on a host of the lab with: inv rehearsal.shell --host=HOST --command="…"',)


def perform_alone(key: str, environment: Environment, day: Date, checklist: str | None) -> None:
    """Perform one step of the night; UsageError if the night's checklist does not have it."""
    having = [name for name, builds in CHECKLISTS.items() if key in {build.key for build in builds}]
    plan = plan_at(environment, day, checklist, next(iter(having), DEFAULT))
    if key not in {step.key for step in plan.steps}:
        hint = f"It has {', '.join(step.key for step in plan.steps)}."
        raise UsageError(f"The checklist of {plan.checklist} has no step {key}.", hint=hint)
    night_run.run_alone(environment, plan, night_run.terminal_of(environment), key)


namespace = Collection(
    "cutover", run, preflight, plan, list_nights, status, watch, report, step, resume, back_out, abort, approve
)
for further in jobs.tasks:
    namespace.add_task(further)
areas = tasks.collections(EVERY, perform_alone)

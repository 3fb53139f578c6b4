"""Run a night: from the beginning, resumed, one step only, or dry."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace

from errors import CutoverError, UsageError
from inventory.figures import Figures
from inventory.load import refuse_if_down
from inventory.model import Environment
from runbooks.cli.findings import mark
from runbooks.engine.live.approval import StoreApprovals
from runbooks.engine.live.clock import DryRunClock, SystemClock
from runbooks.engine.live.console import DRY, Console
from runbooks.engine.live.executors import DryRunExecutor
from runbooks.engine.live.interrupt import second_interrupt_exits
from runbooks.engine.live.lock import claimed, machine_lock
from runbooks.engine.live.operators import DryRunOperator, NoOperator, Operator
from runbooks.engine.live.prompt_store import PromptStore
from runbooks.engine.live.store_journal import StoreJournal
from runbooks.engine.model.forecast import by_estimate
from runbooks.engine.model.history import Facts, History, read_history
from runbooks.engine.model.journal import Journal, Kind
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import ObjectStore, Person
from runbooks.engine.model.preconditions import Finding
from runbooks.engine.model.redactor import redactor_for
from runbooks.engine.model.step import Step
from runbooks.engine.reporting.estimates import counted, estimated, last_time
from runbooks.engine.reporting.figures_text import figure_lines
from runbooks.engine.run import preflight
from runbooks.engine.run.asking import AskedPerson
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.runner import Runner
from runbooks.engine.run.stop import stop_journaled
from runbooks.night import files, summary
from runbooks.night.begin import ask_to_begin, figures_of
from runbooks.night.earlier_nights import earlier_nights, keep
from runbooks.night.heartbeat import beating
from runbooks.night.listeners import followed
from runbooks.night.live_ports import live_executor
from runbooks.night.nights import last_archiving
from runbooks.night.past_deferrals import refuse_past_deferrals


@dataclass(frozen=True)
class Terminal:
    """The clock, the console and the person that a run works with."""

    clock: SystemClock
    console: Console
    person: Person


def terminal_of(environment: Environment) -> Terminal:
    """Return the operator at this terminal, or NoOperator without one; the screen hides the environment's secrets."""
    clock = SystemClock()
    console = Console(clock=clock, redactor=redactor_for(environment))
    return Terminal(clock, console, Operator(console) if console.interactive else NoOperator())


def run(environment: Environment, plan: Plan, terminal: Terminal, *, afresh: bool = False) -> None:
    """Run the whole night on a fresh journal; `afresh` sets an earlier one aside, and so does an abandoned night.

    Raises UsageError if the night has begun already or no person is present, RefusedError if preflight finds a
    problem, AbortedError if the person does not agree to begin.
    """
    _refuse_unattended(plan.asks, terminal.person)
    afresh = afresh or _was_abandoned(environment, plan)
    with live_run(environment, plan, terminal, "running", afresh=afresh) as context:
        if context.journal.events:
            raise UsageError(f"{plan.title} has begun already.", hint=plan.go_on)
        refuse_past_deferrals(environment, plan, context.history(), terminal.clock.now())
        figures = figures_of(preflight.require(context, plan.preflight))
        context = replace(context, plan=counted(context.plan, figures))
        terminal.console.opening(context.plan.title, context.plan.notes)
        _begin(environment, context, ask_to_begin(context, figures), figures)
        terminal.console.say(f"  {_named(context)}")
        work_through(context, Runner.run)
        summary.show_closing(terminal.console, context.plan, context.journal.events)


def resume(environment: Environment, plan: Plan, terminal: Terminal, *, take_over: bool = False) -> None:
    """Run what is left of the night; UsageError if it has not begun or no person is present.

    Raises RefusedError if a host or a server is not the right one.

    `take_over` continues although a run is active on another machine; that run can then do nothing more.
    """
    _refuse_unattended(plan.asks, terminal.person)
    with live_run(environment, plan, terminal, "resuming", take_over=take_over) as context:
        refuse_unbegun(context)
        _refuse_abandoned(context)
        refuse_past_deferrals(environment, plan, context.history(), terminal.clock.now())
        preflight.require_again(context)
        context.adopt_plan()
        conduct(context, terminal.console, Runner.run)
        summary.show_closing(terminal.console, context.plan, context.journal.events)


def run_alone(environment: Environment, plan: Plan, terminal: Terminal, key: str) -> None:
    """Run one step in the night's journal; begin the night if it has not begun."""
    step = plan.step(key)
    _refuse_unattended([asking for asking in plan.asks if asking == step], terminal.person)
    with live_run(environment, plan, terminal, key) as context:
        ended = context.history().ended
        preflight.require_again(context)
        if context.journal.events:
            _refuse_abandoned(context)
            context.adopt_plan()
        else:
            _begin(environment, context, ask_to_begin(context, None) if terminal.person.present else (), None)
        conduct(context, terminal.console, lambda runner: runner.run_alone(step))
        if ended:  # deferred work, done on its day
            context.journal.append(Kind.ENDED)


def _begin(environment: Environment, context: RunContext, statements: Sequence[str], figures: Figures | None) -> None:
    """Write the night's first event, with the time at which an earlier run last archived."""
    before = last_archiving(files.object_store_of(environment))
    context.begin(statements, figures, archived_before=before)


def run_dry(environment: Environment, plan: Plan) -> None:
    """Run the night with the same runner but without any connection; write no file."""
    clock = DryRunClock(lambda: by_estimate(plan, journal.events))
    console = Console(clock=clock, styles=DRY, redactor=redactor_for(environment))
    journal = Journal(now=clock.now, operator="dry run")
    dry_operator = DryRunOperator(console)
    context = RunContext(
        plan=plan,
        executor=DryRunExecutor(),
        journal=journal,
        clock=clock,
        person=dry_operator,
        screen=console,
        approvals=dry_operator,
        max_parallel=1,
    )
    console.opening(f"DRY RUN of {plan.title}", plan.notes)
    console.say("\nPreflight would look at:", style="bold")
    for finding in preflight.examine(plan.preflight, context.executor, context.facts):
        console.say(f"  {finding}")
    console.say("\nAnd before they act, these steps would look at:", style="bold")
    for line in _needs(plan):
        console.say(f"  {line}")
    context.begin(ask_to_begin(context, None))
    Runner(context).run()
    console.say("\nThis was a dry run: nothing was looked at and nothing was done.", style="bold")


def look_before(environment: Environment, plan: Plan, terminal: Terminal) -> None:
    """Check and show everything that must hold before the night; RefusedError with every problem."""
    refuse_if_down(environment)

    def facts() -> Facts:
        return Facts(now=terminal.clock.now(), history=History())

    with redactor_for(environment).errors(), live_executor(environment, terminal.clock) as executor:
        refuse_past_deferrals(environment, plan, History(), terminal.clock.now())
        findings = preflight.examine(plan.preflight, executor, facts)
        terminal.console.opening(plan.title, plan.notes)
        terminal.console.table(("", "subject", "found"), [_row(finding) for finding in findings])
        preflight.refuse(plan, findings)
    if figures := figures_of(findings):
        terminal.console.say("\n".join(f"  {line}" for line in figure_lines(figures, plan.zone)))
    terminal.console.say(preflight.summed_up(findings))


@contextmanager
def live_run(
    environment: Environment,
    plan: Plan,
    terminal: Terminal,
    what: str,
    *,
    afresh: bool = False,
    take_over: bool = False,
) -> Iterator[RunContext]:
    """Yield everything a live run needs, and hold the environment's lock."""
    with _held(environment, plan, terminal, what, take_over=take_over) as object_store:
        journal = files.open_journal(environment, plan.date, object_store, terminal.clock, afresh=afresh)
        nights = earlier_nights(environment, journal.events[0].at if journal.events else terminal.clock.now())
        plan, last = counted(estimated(plan, nights), read_history(journal.events).figures), last_time(nights)
        with (
            live_executor(environment, terminal.clock) as executor,
            followed(environment, plan, journal, last, terminal.console) as notifier,
            _head_stored(journal, terminal.console),
            beating(environment, plan.date, journal, terminal.clock, terminal.console.warn),
            stop_journaled(journal, terminal.console.warn, begun=False),
        ):
            yield RunContext(
                plan=plan,
                executor=executor,
                journal=journal,
                clock=terminal.clock,
                person=AskedPerson(terminal.person, plan, journal, notifier, files.me()),
                screen=terminal.console,
                approvals=StoreApprovals(object_store, terminal.clock),
                last=last,
            )
        keep(environment, plan.date)


@contextmanager
def _held(
    environment: Environment, plan: Plan, terminal: Terminal, what: str, *, take_over: bool
) -> Iterator[ObjectStore]:
    """Hold the environment's locks within the block, and yield its store."""
    me, lock = files.myself(f"{what} {plan.title}"), files.Files(environment, plan.date).lock
    with second_interrupt_exits() as interruption, redactor_for(environment).errors(), machine_lock(lock, me):
        object_store = PromptStore(files.object_store_of(environment), terminal.console.warn, interruption)
        go_on = f"{plan.resume} --take-over"
        with claimed(object_store, me, take_over=go_on, ousting=take_over) as ousted:
            if ousted:
                terminal.console.warn(f"Taken over from {ousted}.")
            yield object_store


@contextmanager
def _head_stored(journal: StoreJournal, console: Console) -> Iterator[None]:
    """Store the journal's head at the end of the block; a store that fails then must not change how the run ended."""
    try:
        yield
    finally:
        try:
            journal.store_head()
        except CutoverError as error:
            console.warn(f"The journal's digest was not stored; the next run stores it. {error}")


def refuse_unbegun(context: RunContext) -> None:
    """Raise UsageError if the night has not begun."""
    if not context.journal.events:
        raise UsageError(f"{context.plan.title} has not begun.", hint="inv cutover.run begins it.")


def _refuse_abandoned(context: RunContext) -> None:
    """Raise UsageError if the night was abandoned: its proofs no longer hold."""
    if who := context.history().abandoned:
        hint = f"{context.plan.back_out} switches everything back on; inv cutover.run begins a new run."
        raise UsageError(f"{context.plan.title} was abandoned ({who}) and can't be resumed.", hint=hint)


def _was_abandoned(environment: Environment, plan: Plan) -> bool:
    refuse_if_down(environment)
    return bool(read_history(files.events_of(environment, plan.date)).abandoned)


def _needs(plan: Plan) -> Iterator[str]:
    for step in plan.steps:
        yield from (f"{step.title}, {task.host}: {check}" for task in step.tasks for check in task.needs)


def _row(finding: Finding) -> tuple[str, str, str]:
    return mark(finding), finding.subject, str(finding).removeprefix(f"{finding.subject}: ")


def _refuse_unattended(asking: Sequence[Step], person: Person) -> None:
    if asking and not person.present:
        keys = ", ".join(step.key for step in asking)
        raise UsageError(f"These steps ask a person, and there is no terminal: {keys}.", hint="Run it in a terminal.")


def conduct(context: RunContext, console: Console, work: Callable[[Runner], None]) -> None:
    """Show the night's particulars, then run the work as `work_through` does."""
    console.opening(context.plan.title, (*context.plan.notes, _named(context)))
    work_through(context, work)


def work_through(context: RunContext, work: Callable[[Runner], None]) -> None:
    """Run the work, and show what is still off, however it ends."""
    try:
        work(Runner(context))
    except KeyboardInterrupt:
        running = ", ".join(context.running())
        what = f"What was started keeps running on {running}" if running else "No command was running"
        context.screen.warn(f"Interrupted. {what}. {context.next_step_hint()}")
        raise
    finally:
        context.screen.still_off(context.debts())


def _named(context: RunContext) -> str:
    return f"plan {context.plan.digest}, run {context.history().run}"

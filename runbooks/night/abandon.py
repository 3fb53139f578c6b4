"""Abandon a stopped night: show or stop the jobs that still run, and switch everything back on."""

from __future__ import annotations

from errors import AbortedError, CutoverError, UnknownError, UsageError
from inventory.model import Environment
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.plan import Plan
from runbooks.engine.run import orphaned_jobs, preflight
from runbooks.engine.run.abandon import BackOutSteps, abandon_night
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.orphaned_jobs import OrphanedJob
from runbooks.night import run


def back_out(
    environment: Environment,
    plan: Plan,
    terminal: run.Terminal,
    back_out_steps: BackOutSteps,
    *,
    take_over: bool = False,
) -> None:
    """Abandon the night and switch everything back on; UsageError if it has not begun or no person is present."""
    _refuse_absent(terminal, "Abandoning a night")
    with run.live_run(environment, plan, terminal, "backing out of", take_over=take_over) as context:
        run.refuse_unbegun(context)
        if context.debts():
            preflight.require_again(context)
            context.adopt_plan()
            run.conduct(context, terminal.console, lambda runner: abandon_night(runner.context, back_out_steps))
        else:
            context.screen.still_off(())


def abort(
    environment: Environment, plan: Plan, terminal: run.Terminal, *, stop: bool = False, take_over: bool = False
) -> None:
    """Show which jobs of the night still run, and where; with `stop`, stop them once the date has been typed.

    Always raises AbortedError, or UnknownError if a job that was to be stopped still runs or may still run.
    """
    if stop:
        _refuse_absent(terminal, "Stopping jobs")
    with run.live_run(environment, plan, terminal, "aborting", take_over=take_over) as context:
        run.refuse_unbegun(context)
        try:
            error = _abort_error(context, _stop_jobs(context, terminal) if stop else _show_jobs(context), stop=stop)
            context.journal.append(Kind.STOPPED, reason=str(error), code=int(error.exit_code))
            raise error
        finally:
            context.screen.still_off(context.debts())


def _show_jobs(context: RunContext) -> list[OrphanedJob]:
    jobs = orphaned_jobs.orphaned_jobs(context)
    for job in jobs:
        context.screen.say(f"  {job}")
    return jobs


def _stop_jobs(context: RunContext, terminal: run.Terminal) -> list[OrphanedJob]:
    jobs = _show_jobs(context)
    if all(job.ended for job in jobs):
        return jobs
    if (
        terminal.console.typed(f"  Type the date of the night ({context.plan.date}) to stop what runs: ")
        != context.plan.date
    ):
        raise AbortedError("That is not the date: nothing was stopped.", hint=context.next_step_hint())
    stopped = orphaned_jobs.stop(context, jobs)
    for job in stopped:
        context.screen.say(f"  {job}")
    return stopped


def _abort_error(context: RunContext, jobs: list[OrphanedJob], *, stop: bool) -> CutoverError:
    left = [job for job in jobs if not job.ended]
    if left and stop:
        lines = ["These jobs could not be stopped:", *(f"  - {job}" for job in left)]
        return UnknownError("\n".join(lines), hint="Check these hosts, then run the same command again.")
    hosts = ", ".join(job.attempt.task.host for job in left)
    rest = f"still running or unreachable: {hosts}" if left else "no job of it is running on any host"
    return AbortedError(f"{context.plan.title} is aborted; {rest}.", hint=context.next_step_hint())


def _refuse_absent(terminal: run.Terminal, what: str) -> None:
    if not terminal.person.present:
        raise UsageError(f"{what} asks a person, and there is no terminal.", hint="Run it in a terminal.")

"""A night that is not gone on with: what still runs of it is shown or stopped, what it owes is switched on."""

from __future__ import annotations

from errors import AbortedError, CutoverError, UnknownError, UsageError
from inventory.model import Environment
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.plan import Plan
from runbooks.engine.run import orphaned_jobs
from runbooks.engine.run.abandon import Payments, give_up
from runbooks.engine.run.context import Stage
from runbooks.engine.run.orphaned_jobs import Unfinished
from runbooks.night import run


def pay(environment: Environment, plan: Plan, cast: run.Cast, payments: Payments, *, take_over: bool = False) -> None:
    """Gives the night up and switches on whatever it owes; UsageError where it has not begun, or nobody is there."""
    _refuse_absent(cast, "Giving a night up")
    with run.on_stage(environment, plan, cast, "paying for", take_over=take_over) as stage:
        run.refuse_unbegun(stage)
        if stage.debts():
            stage.go_on()
            run.conduct(stage, cast.console, lambda runner: give_up(runner.stage, payments))
        else:
            stage.screen.still_off(())


def abort(environment: Environment, plan: Plan, cast: run.Cast, *, stop: bool = False, take_over: bool = False) -> None:
    """Says what of the night still runs, and where; with `stop` it is stopped, once the date is typed.

    Always raises: AbortedError, or UnknownError where something still runs, or may, that was to be stopped.
    """
    if stop:
        _refuse_absent(cast, "Stopping jobs")
    with run.on_stage(environment, plan, cast, "aborting", take_over=take_over) as stage:
        run.refuse_unbegun(stage)
        try:
            error = _aborted(stage, _stopped(stage, cast) if stop else _told(stage), stop=stop)
            stage.journal.append(Kind.STOPPED, reason=str(error), code=int(error.exit_code))
            raise error
        finally:
            stage.screen.still_off(stage.debts())


def _told(stage: Stage) -> list[Unfinished]:
    jobs = orphaned_jobs.look(stage)
    for job in jobs:
        stage.screen.say(f"  {job}")
    return jobs


def _stopped(stage: Stage, cast: run.Cast) -> list[Unfinished]:
    jobs = _told(stage)
    if all(job.ended for job in jobs):
        return jobs
    if cast.console.typed(f"  Type the date of the night ({stage.plan.date}) to stop what runs: ") != stage.plan.date:
        raise AbortedError("That is not the date: nothing was stopped.", hint=stage.way_on())
    stopped = orphaned_jobs.stop(stage, jobs)
    for job in stopped:
        stage.screen.say(f"  {job}")
    return stopped


def _aborted(stage: Stage, jobs: list[Unfinished], *, stop: bool) -> CutoverError:
    left = [job for job in jobs if not job.ended]
    if left and stop:
        lines = ["This could not be stopped:", *(f"  - {job}" for job in left)]
        return UnknownError("\n".join(lines), hint="Look there; then run the same command again.")
    hosts = ", ".join(job.attempt.task.host for job in left)
    rest = f"still at work, or not to be asked: {hosts}" if left else "no job of it runs on any host"
    return AbortedError(f"{stage.plan.title} is aborted; {rest}.", hint=stage.way_on())


def _refuse_absent(cast: run.Cast, what: str) -> None:
    if not cast.person.present:
        raise UsageError(f"{what} asks a person, and there is no terminal.", hint="Run it in a terminal.")

"""Detached jobs whose end was not seen: ask their hosts for their state, and stop them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from errors import CutoverError, RefusedError, UnknownError
from runbooks.engine.model.actions import DetachedJob
from runbooks.engine.model.ports import JobState
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.fanout import fan_out
from runbooks.engine.run.host_step import Attempt

ENDED = {"lost": "gone, without an exit status", "absent": "never begun"}


@dataclass(frozen=True, kw_only=True)
class OrphanedJob:
    """A job whose end is not in the journal, with its state as its host reports it."""

    attempt: Attempt
    command: str
    state: JobState | None  # none: its host can't report it
    trouble: str = ""  # the reason why it can't

    @property
    def ended(self) -> bool:
        """True if it certainly does not run."""
        return self.state is not None and not self.state.running

    def __str__(self) -> str:
        where = f"on {self.attempt.task.host}: {self.command}"
        if self.state is None:
            return f"state unknown {where} ({self.trouble})"
        if self.state.running:
            said = f"; last said: {self.state.line}" if self.state.line else ""
            return f"still running {where} (process {self.state.pid}, since {self._since()}{said})"
        return f"ended {where} ({ENDED.get(self.state.state, f'exit {self.state.code}')})"

    def _since(self) -> str:
        began = self.attempt.task_state.began
        return f"{began:%Y-%m-%d %H:%M:%S} UTC" if began else "an unknown time"


def orphaned_jobs(context: RunContext) -> list[OrphanedJob]:
    """Return every job whose end is not in the journal."""
    attempts = [
        Attempt(context=context, step=step, task=task)
        for step in context.plan.steps
        for task in step.tasks
        if isinstance(task.action, DetachedJob)
    ]
    open_ = [attempt for attempt in attempts if attempt.task_state.doubtful and not attempt.task_state.over]
    return _asked(context, open_, context.executor.look_at_job)


def stop(context: RunContext, jobs: Iterable[OrphanedJob]) -> list[OrphanedJob]:
    """Stop the jobs that have not ended, journal those that then have, and return their states."""
    stopped = _asked(context, [job.attempt for job in jobs if not job.ended], context.executor.stop_job)
    for job in stopped:
        # A job that succeeded at the last moment is judged by its step's proof.
        if job.ended and job.state != JobState(state="exited"):
            job.attempt.cut_off("stopped by the operator, with all its processes")
    return stopped


def refuse_at_work(context: RunContext, hint: str) -> None:
    """Raise RefusedError if a job still runs, UnknownError if its host can't report it."""
    left = [job for job in orphaned_jobs(context) if not job.ended]
    if left:
        kind = RefusedError if all(job.state for job in left) else UnknownError
        raise kind("\n".join(["These jobs must end first:", *(f"  - {job}" for job in left)]), hint=hint)


def _asked(context: RunContext, attempts: Sequence[Attempt], ask: Callable[[str, str], JobState]) -> list[OrphanedJob]:
    if not attempts:
        return []
    work = [lambda attempt=attempt: _job(attempt, ask) for attempt in attempts]
    return fan_out(work, limit=context.max_parallel, on_interrupt=context.executor.interrupt)


def _job(attempt: Attempt, ask: Callable[[str, str], JobState]) -> OrphanedJob:
    action = attempt.task.action
    assert isinstance(action, DetachedJob)
    try:
        return OrphanedJob(attempt=attempt, command=action.command, state=ask(attempt.task.host, attempt.job))
    except CutoverError as error:
        return OrphanedJob(attempt=attempt, command=action.command, state=None, trouble=str(error))

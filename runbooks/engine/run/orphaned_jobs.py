"""Detached jobs whose end nobody has seen: what their hosts say of them, and how they are stopped."""

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
    """A job whose end the journal does not have, as its host tells of it."""

    attempt: Attempt
    command: str
    state: JobState | None  # none: its host can't tell
    trouble: str = ""  # why it can't

    @property
    def ended(self) -> bool:
        """Whether it surely does not run."""
        return self.state is not None and not self.state.running

    def __str__(self) -> str:
        where = f"on {self.attempt.task.host}: {self.command}"
        if self.state is None:
            return f"nobody knows {where} ({self.trouble})"
        if self.state.running:
            said = f"; last said: {self.state.line}" if self.state.line else ""
            return f"still running {where} (process {self.state.pid}, since {self._since()}{said})"
        return f"ended {where} ({ENDED.get(self.state.state, f'exit {self.state.code}')})"

    def _since(self) -> str:
        began = self.attempt.task_state.began
        return f"{began:%Y-%m-%d %H:%M:%S} UTC" if began else "a time that nobody knows"


def orphaned_jobs(context: RunContext) -> list[OrphanedJob]:
    """Every job whose end the journal does not have."""
    attempts = [
        Attempt(context=context, step=step, task=task)
        for step in context.plan.steps
        for task in step.tasks
        if isinstance(task.action, DetachedJob)
    ]
    open_ = [attempt for attempt in attempts if attempt.task_state.doubtful and not attempt.task_state.over]
    return _asked(context, open_, context.executor.look_at_job)


def stop(context: RunContext, jobs: Iterable[OrphanedJob]) -> list[OrphanedJob]:
    """Stops those that have not ended, and journals which of them are gone; what became of them."""
    stopped = _asked(context, [job.attempt for job in jobs if not job.ended], context.executor.stop_job)
    for job in stopped:
        # One that succeeded in the last moment is left to its step's proof.
        if job.ended and job.state != JobState(state="exited"):
            job.attempt.cut_off("stopped by the operator, with all its processes")
    return stopped


def refuse_at_work(context: RunContext, hint: str) -> None:
    """RefusedError where a job still runs, UnknownError where its host can't tell."""
    left = [job for job in orphaned_jobs(context) if not job.ended]
    if left:
        kind = RefusedError if all(job.state for job in left) else UnknownError
        raise kind("\n".join(["This must have ended first:", *(f"  - {job}" for job in left)]), hint=hint)


def _asked(context: RunContext, attempts: Sequence[Attempt], ask: Callable[[str, str], JobState]) -> list[OrphanedJob]:
    if not attempts:
        return []
    work = [lambda attempt=attempt: _one(attempt, ask) for attempt in attempts]
    return fan_out(work, limit=context.max_parallel, on_interrupt=context.executor.interrupt)


def _one(attempt: Attempt, ask: Callable[[str, str], JobState]) -> OrphanedJob:
    action = attempt.task.action
    assert isinstance(action, DetachedJob)
    try:
        return OrphanedJob(attempt=attempt, command=action.command, state=ask(attempt.task.host, attempt.job))
    except CutoverError as error:
        return OrphanedJob(attempt=attempt, command=action.command, state=None, trouble=str(error))

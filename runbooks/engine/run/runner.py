"""Runs a plan step by step, journals every result, and stops rather than guesses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TypeVar

from errors import CutoverError, UnknownError
from inventory.model import Deferral
from runbooks.engine.live.clock import await_proof
from runbooks.engine.model.debts import DebtLeft, detailed, owed_now, summed
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import SETTLED, Outcome
from runbooks.engine.model.ports import Board, Choice
from runbooks.engine.model.step import Check, HostTask, Step, Truth, Verdict
from runbooks.engine.run.context import RunContext
from runbooks.engine.run.fanout import fan_out
from runbooks.engine.run.host_step import Attempt
from runbooks.engine.run.point_of_no_return import pass_point
from runbooks.engine.run.stop import stop_journaled
from runbooks.engine.run.watching import InvariantBroken, watching

T = TypeVar("T")
BLINK = timedelta(seconds=20)  # the time for which an invariant may be unreadable
STALE = 15.0  # seconds after which a check is repeated before a person is asked


class StepFailed(CutoverError):
    """A step's proof does not hold, and no person decided what to do about it."""


@dataclass(frozen=True)
class Runner:
    """Performs the steps of a context's plan."""

    context: RunContext

    def run(self) -> None:
        """Perform all unsettled steps in order. Raises if the night must stop, DebtLeft if anything is owed now."""
        with self.stop_journaled():
            self._refuse_lost_debts()
            for step in self.context.plan.steps:  # unknown outcomes are settled before anything else begins
                self.perform(step, self._left(step, Outcome.RUNNING, Outcome.UNKNOWN))
            for step in self.context.plan.steps:
                if step.deferral:
                    self._defer(step, step.deferral)
                else:
                    self.perform(step, self._left(step, *_OPEN))
            self.refuse_debts()
            self.context.journal.append(Kind.ENDED)

    def run_alone(self, step: Step) -> None:
        """Perform one step, whatever the journal says of it: its checks decide if there is anything to do."""
        with self.stop_journaled():
            self.perform(step, step.tasks)

    def _left(self, step: Step, *outcomes: Outcome) -> list[HostTask]:
        history = self.context.history()
        return [task for task in step.tasks if history.task_state(step.key, task.host).outcome in outcomes]

    def settle(self) -> None:
        """Determine unknown outcomes by their checks, without acting. Raises UnknownError if one stays unknown."""
        for step in self.context.plan.steps:
            attempts = [self._attempt(step, task) for task in self._left(step, Outcome.RUNNING, Outcome.UNKNOWN)]
            self._in_parallel(step, attempts, Attempt.settle)
            if any(attempt.task_state.doubtful for attempt in attempts):
                raise self._stopped(step)

    def _defer(self, step: Step, deferral: Deferral) -> None:
        """Leave a step to a later day, wherever it is neither settled nor proven to be done already."""
        if tasks := self._left(step, *_OPEN):
            self.context.screen.begin(step, self.context.plan.last_number, self.context.elapsed())
            attempts = self._not_done_yet(step, [self._attempt(step, task) for task in tasks])
            self._in_parallel(step, attempts, lambda attempt, board: attempt.defer(board, deferral))
            self.context.screen.owed(self.context.debts())

    def perform(self, step: Step, tasks: Sequence[HostTask]) -> None:
        """Perform a step on some of its hosts, whatever the journal says of it: its checks decide."""
        if not tasks:
            return
        self.context.screen.begin(step, self.context.plan.last_number, self.context.elapsed())
        self._check_invariants(step, "before")
        with watching(self.context, step):
            self._do(step, self._not_done_yet(step, [self._attempt(step, task) for task in tasks]))
        self._check_invariants(step, "after")
        self.context.screen.owed(self.context.debts())
        self.context.screen.clock(self.context.forecast())

    def _do(self, step: Step, attempts: Sequence[Attempt]) -> None:
        """Act on the hosts that are left: by command side by side, then by hand one after the other."""
        checked_at = self.context.clock.ticks()
        if attempts and step.point_of_no_return:
            pass_point(self.context, step)
        self._in_parallel(step, [attempt for attempt in attempts if _may_act(attempt)], Attempt.by_command)
        for attempt in attempts:
            if attempt.task.action is None and not self._done_meanwhile(attempt, checked_at):
                self._by_person(attempt)
            self._handle_failure(attempt)

    def _attempt(self, step: Step, task: HostTask) -> Attempt:
        return Attempt(context=self.context, step=step, task=task)

    def _not_done_yet(self, step: Step, attempts: Sequence[Attempt]) -> list[Attempt]:
        """Check first, and return the attempts that are still to be made: nothing is done twice."""
        done = self._in_parallel(step, attempts, Attempt.already_done)
        left = [(attempt, already) for attempt, already in zip(attempts, done, strict=True) if not already]
        return [replace(attempt, insists=already is None) for attempt, already in left]

    def _in_parallel(self, step: Step, attempts: Sequence[Attempt], do: Callable[[Attempt, Board], T]) -> list[T]:
        """Return the results of all attempts, made in threads that Ctrl-C can abandon."""
        if not attempts:
            return []
        with self.context.screen.board(step, [attempt.task for attempt in attempts]) as board:
            work = [lambda attempt=attempt: do(attempt, board) for attempt in attempts]
            limit = min(step.limit, self.context.max_parallel)
            return fan_out(work, limit=limit, on_interrupt=self.context.executor.interrupt)

    def _done_meanwhile(self, attempt: Attempt, checked_at: float) -> bool:
        """True if it is done by now: a person, asked host by host, may do several hosts at once."""
        if attempt.insists or self.context.clock.ticks() - checked_at <= STALE:
            return False
        return self._in_parallel(attempt.step, [attempt], Attempt.done_meanwhile) == [True]

    def _by_person(self, attempt: Attempt) -> None:
        if attempt.task.looks_first and self._in_parallel(attempt.step, [attempt], Attempt.ready) == [False]:
            return
        if attempt.ask() is Choice.SKIP:
            self._skip(attempt)
        else:
            self._in_parallel(attempt.step, [attempt], Attempt.by_hand)

    def _skip(self, attempt: Attempt) -> None:
        reason = self.context.person.reason(attempt.step, attempt.task)
        self._in_parallel(attempt.step, [attempt], lambda skipped, board: skipped.skip(board, reason))
        self.context.screen.still_off(self.context.debts())

    def _handle_failure(self, attempt: Attempt) -> None:
        while attempt.task_state.outcome not in SETTLED:
            answer = attempt.choose()
            if answer is None:
                raise self._stopped(attempt.step)
            if answer is Choice.BY_HAND:
                self._by_person(attempt)
            elif answer is Choice.SKIP:
                self._skip(attempt)
            else:
                again = Attempt.by_command if attempt.task.action else Attempt.by_hand
                self._in_parallel(attempt.step, [attempt], again)

    def _stopped(self, step: Step) -> CutoverError:
        """Return one error that names every host that is not done."""
        wrong = {task.host: self.context.task_state(step, task) for task in step.tasks}
        lines = [
            f"  - {host}: {task_state.outcome.value}: {task_state.proof}"
            for host, task_state in wrong.items()
            if _is_wrong(task_state.outcome)
        ]
        failed = any(task_state.outcome is Outcome.FAILED for task_state in wrong.values())
        kind, word = (StepFailed, "failed") if failed else (UnknownError, "has an unknown outcome")
        head = f"Step {step.label} of {self.context.plan.last_number}, {step.title}, {word}; the night stops here:"
        return kind("\n".join([head, *lines]), hint=f"Fix it, then {self.context.plan.go_on}")

    def _check_invariants(self, step: Step, when: str) -> None:
        for check in self.context.plan.invariants:
            verdict = self._invariant(check)
            where = f"{when} step {step.label}, {step.title}"
            if verdict.truth is Truth.FAILS:
                message = f"{check.title}: does not hold {where}; the night stops here. {verdict.proof}"
                raise InvariantBroken(message, hint=f"Fix it, then {self.context.plan.go_on}")
            if verdict.truth is Truth.UNSEEN:
                raise UnknownError(
                    f"{check.title}: could not be checked {where}. {verdict.proof}", hint=self.context.plan.go_on
                )

    def _invariant(self, check: Check) -> Verdict:
        verdict = self._look(check, timedelta())
        if verdict.truth is Truth.UNSEEN:
            self.context.screen.warn(
                f"{check.title}: {verdict.proof} Checking again for {BLINK.total_seconds():.0f} s."
            )
            verdict = self._look(check, BLINK)
        return verdict

    def _look(self, check: Check, patience: timedelta) -> Verdict:
        def look() -> Verdict:
            return self.context.executor.look(check, self.context.facts(), expected=True)

        def seen(verdict: Verdict) -> bool:
            return verdict.truth is not Truth.UNSEEN

        def wait() -> Verdict:
            return await_proof(look, self.context.clock, patience, lambda line: None, enough=seen)

        return fan_out([wait], limit=1, on_interrupt=self.context.executor.interrupt)[0]

    def refuse_debts(self) -> None:
        """Raise DebtLeft if something is still owed that is not deferred."""
        self._refuse_lost_debts()
        debts = owed_now(self.context.journal.events)
        if debts:
            message = f"Every step is done, but still off, or not verified to be back on: {summed(debts)}."
            hint = f"{self.context.plan.back_out} switches it back on."
            raise DebtLeft(message, hint=hint)

    def _refuse_lost_debts(self) -> None:
        """Raise DebtLeft if something is off that no step of the plan switches on: its host has another name now."""
        payable = {task.pays for step in self.context.plan.steps for task in step.tasks}
        lost = [debt for debt in owed_now(self.context.journal.events) if debt not in payable]
        if lost:
            places = ", ".join(dict.fromkeys(debt.where for debt in lost))
            off = "; ".join(detailed(lost))
            message = f"Still off, or not verified to be back on: {off}. No step of the plan is for {places}."
            hint = f"Was it renamed in the inventory? Give it back the name {places}, then {self.context.plan.go_on}"
            raise DebtLeft(message, hint=hint)

    def stop_journaled(self) -> AbstractContextManager[None]:
        """Journal the reason if the run stops within the block."""
        return stop_journaled(self.context.journal, self.context.screen.warn)


_OPEN = tuple(outcome for outcome in Outcome if outcome not in SETTLED)


def _is_wrong(outcome: Outcome) -> bool:
    return outcome in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.RUNNING)


def _may_act(attempt: Attempt) -> bool:
    """True if the action may run unasked; a doubtful one only if it attaches to an act that may still run."""
    task_state, action = attempt.task_state, attempt.task.action
    return action is not None and (not task_state.doubtful or (action.attaches and not task_state.over))

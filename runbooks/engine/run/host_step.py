"""One step on one host: check, act, check again; the intent is journaled before, the result after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from errors import AbortedError, CutoverError, RefusedError, UnknownError
from inventory.model import Deferral
from runbooks.engine.live.clock import await_proof
from runbooks.engine.live.jobs import job_name
from runbooks.engine.model.actions import Action, DetachedJob
from runbooks.engine.model.debts import as_data
from runbooks.engine.model.history import TaskState
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Acted, Board, Choice
from runbooks.engine.model.step import Check, HostTask, Step, Truth, Verdict, together
from runbooks.engine.run.context import RunContext

AT_ONCE = timedelta()
BROKE_OFF = "an earlier run broke off here: it may have taken effect or not"


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An attempt at a step's task on a host."""

    context: RunContext
    step: Step
    task: HostTask
    insists: bool = False  # True: it acts although its proof held at the first look

    @property
    def task_state(self) -> TaskState:
        """The task's state as the journal has it now."""
        return self.context.task_state(self.step, self.task)

    @property
    def job(self) -> str:
        """The name of its next job, or of the job whose end was not seen."""
        return job_name(self.context.history().run, self.step.key, self.task.host, self.task_state.attempt)

    def already_done(self, board: Board) -> bool | None:
        """True if the proof holds before anything was done; it is then journaled as done.

        None if it holds for what the night has to do at least once itself: such a proof may hold by accident, as a
        proxy's 503 proves maintenance mode, and end with it.
        """
        verdict = self._checked(board)
        if verdict.holds and self.task.at_least_once and self.task_state.began is None:
            board.show(self.task.host, Outcome.PENDING, f"looks done, and is done all the same: {verdict.proof}")
            return None
        return self._accepted(board, verdict)

    def done_meanwhile(self, board: Board) -> bool:
        """True if the proof holds by now, which did not hold at first; it is then journaled as done."""
        return self._accepted(board, self._checked(board))

    def _checked(self, board: Board) -> Verdict:
        board.show(self.task.host, Outcome.PENDING, "checking")
        return self._look(expected=False)

    def _accepted(self, board: Board, verdict: Verdict) -> bool:
        if verdict.holds:
            self._write(board, Outcome.DONE, f"already so: {verdict.proof}", verdict)
        else:
            board.show(self.task.host, Outcome.PENDING, verdict.proof)
        return verdict.holds

    def by_command(self, board: Board) -> None:
        """Perform the action and wait for the proof."""
        if self.ready(board):
            action, name, doubtful = self._action(), self.job, self.task_state.doubtful
            self._intend(str(action))
            board.show(self.task.host, Outcome.RUNNING, action.instruction)
            acted = self.context.executor.act(action, name, lambda line: self._progress(board, line))
            self._conclude(board, acted, doubtful=doubtful)

    def ready(self, board: Board) -> bool:
        """True if it may begin: its needs hold, and what must be read before its first act is read."""
        return self._may_begin(board) and self._read_before(board)

    def ask(self) -> Choice:
        """Have a person do it by hand; return DONE or SKIP. Raises AbortedError."""
        note = BROKE_OFF if self.task_state.doubtful else ""
        self._intend("by hand")
        answer = self.context.person.perform(self.step, self.task, note)
        self._journal_answer(answer)
        return answer

    def by_hand(self, board: Board) -> None:
        """Wait for the proof of a task that a person reports as done."""
        self._conclude(board, Acted(outcome=Outcome.DONE, over=False))

    def choose(self) -> Choice | None:
        """Ask a person how to handle a failure; return None if no person is present. Raises AbortedError."""
        task_state = self.task_state
        answer = self.context.person.choose(self.step, self.task, task_state.outcome, task_state.proof or BROKE_OFF)
        if answer is not None:
            self._journal_answer(answer)
        return answer

    def skip(self, board: Board, reason: str) -> None:
        """Journal the task as skipped, for a reason."""
        self._write(board, Outcome.SKIPPED, f"skipped: {reason}", None)

    def defer(self, board: Board, deferral: Deferral) -> None:
        """Journal the task as left to a later day."""
        history, plan = self.context.history(), self.context.plan
        until = plan.due(deferral, history.began or self.context.clock.now())
        self.context.journal.append(
            Kind.DEFERRED,
            step=self.step.key,
            host=self.task.host,
            title=self.step.title,
            until=until.isoformat(),
            by=deferral.by,
            pays=as_data(self.task.pays),
        )
        board.show(self.task.host, Outcome.DEFERRED, self.task_state.proof)

    def settle(self, board: Board) -> None:
        """Journal the outcome of an ended act whose end was not seen; UNKNOWN if it can't be checked."""
        verdict = self._look(expected=False)
        if verdict.truth is Truth.UNSEEN:
            self._write(board, Outcome.UNKNOWN, verdict.proof, verdict)
        else:
            outcome = Outcome.DONE if verdict.holds else Outcome.FAILED
            self._write(board, outcome, f"an earlier run broke off here: {verdict.proof}", verdict, over=True)

    def cut_off(self, proof: str) -> None:
        """Journal that its job was stopped and no longer runs."""
        self._record(Outcome.FAILED, proof, {}, over=True)

    def _action(self) -> Action:
        """Return the action; an irreversible one says for which tenants a person typed the word."""
        action, word = self.task.action, self.context.history().confirmed.get(self.step.key)
        assert action is not None
        if isinstance(action, DetachedJob) and action.tenants_option and word and word.tenants:
            return replace(action, command=f"{action.command} {action.tenants_option}={word.tenants}")
        return action

    def _journal_answer(self, answer: Choice) -> None:
        self.context.journal.append(Kind.ANSWER, step=self.step.key, host=self.task.host, answer=answer.value)
        where = f"step {self.step.label}, {self.step.title}, at {self.task.host}"
        if answer is Choice.ABORT:
            raise AbortedError(f"Aborted by the operator in {where}.", hint=self.context.next_step_hint())
        if answer is Choice.SKIP and self.step.required:
            raise RefusedError(f"Can't skip {where}: it is required.", hint=self.context.plan.go_on)

    def _may_begin(self, board: Board) -> bool:
        """Check what the act needs; not for an act that may be running already: it could fail its own needs."""
        if self.task_state.doubtful or not self.task.needs:
            return True
        board.show(self.task.host, Outcome.PENDING, "checking")
        verdict = self._verdict(self.task.needs, expected=True)
        if verdict.holds:
            board.show(self.task.host, Outcome.PENDING, verdict.proof)
        else:
            self._write(board, Outcome.FAILED, f"not begun: {verdict.proof}", None)
        return verdict.holds

    def _read_before(self, board: Board) -> bool:
        """Read the state before the first act; a later reading would include its effects."""
        if self.task.before is None or self.task_state.before is not None:
            return True
        try:
            rows = self.context.executor.read(self.task.before).rows
            if not rows:
                raise CutoverError(f"{self.task.before} returned nothing.")
        except CutoverError as error:
            self._write(board, Outcome.FAILED, f"not begun: {error}", None)
            return False
        self.context.journal.append(Kind.READING, step=self.step.key, host=self.task.host, rows=rows)
        return True

    def _intend(self, what: str) -> None:
        owes = as_data(self.task.owes)
        self.context.journal.append(Kind.INTENT, step=self.step.key, host=self.task.host, what=what, owes=owes)

    def _conclude(self, board: Board, acted: Acted, *, doubtful: bool = False) -> None:
        patience = AT_ONCE if acted.outcome is Outcome.FAILED else self.step.settle
        try:
            verdict = await_proof(
                self._expected,
                self.context.clock,
                patience,
                lambda line: self._progress(board, f"waiting for the proof: {line}"),
            )
        except UnknownError as error:
            self._write(board, Outcome.UNKNOWN, acted.sentence or str(error), None, over=acted.over)
            raise
        outcome, sentence = _judged(acted, verdict, doubtful=doubtful and not acted.over)
        self._write(board, outcome, sentence, verdict, over=acted.over)

    def _expected(self) -> Verdict:
        return self._look(expected=True)

    def _look(self, *, expected: bool) -> Verdict:
        return self._verdict(self.task.checks, expected=expected)

    def _verdict(self, checks: Sequence[Check], *, expected: bool) -> Verdict:
        facts = self.context.facts()
        return together(self.context.executor.look(check, facts, expected=expected) for check in checks)

    def _progress(self, board: Board, line: str) -> None:
        board.show(self.task.host, Outcome.RUNNING, line)

    def _write(
        self, board: Board, outcome: Outcome, proof: str, verdict: Verdict | None, *, over: bool = False
    ) -> None:
        self._record(outcome, proof, verdict.figures if verdict else {}, over=over)
        board.show(self.task.host, outcome, proof)

    def _record(self, outcome: Outcome, proof: str, figures: Mapping[str, object], *, over: bool) -> None:
        self.context.journal.append(
            Kind.RESULT,
            step=self.step.key,
            host=self.task.host,
            outcome=outcome.value,
            proof=proof,
            figures=dict(figures),
            owes=as_data(self.task.owes),
            pays=as_data(self.task.pays),
            over=over,  # True if an act was begun and has certainly ended: the next one gets a new name
        )


def _judged(acted: Acted, verdict: Verdict, *, doubtful: bool) -> tuple[Outcome, str]:
    """Return outcome and proof: the checks decide; the act's own result counts only if they do not hold.

    `doubtful`: True if an earlier act, which could not be attached to, may still be at work.
    """
    if verdict.holds:
        return Outcome.DONE, verdict.proof + (f" (although {acted.sentence})" if acted.sentence else "")
    if acted.outcome is Outcome.UNKNOWN or verdict.truth is Truth.UNSEEN or doubtful:
        return Outcome.UNKNOWN, acted.sentence or verdict.proof
    return Outcome.FAILED, "; ".join(filter(None, (acted.sentence.rstrip("."), verdict.proof)))

"""One step on one host: look, act, look again; the intent in the journal before, the result after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from errors import AbortedError, CutoverError, RefusedError, UnknownError
from runbooks.engine.live.clock import await_proof
from runbooks.engine.live.jobs import job_name
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
    """A step's task on a host, being worked on."""

    context: RunContext
    step: Step
    task: HostTask

    @property
    def task_state(self) -> TaskState:
        """What the journal says of it now."""
        return self.context.task_state(self.step, self.task)

    @property
    def job(self) -> str:
        """The name of its next job, or of the one whose end nobody saw."""
        return job_name(self.context.history().run, self.step.key, self.task.host, self.task_state.attempt)

    def already(self, board: Board) -> bool:
        """Whether the proof holds before anything was done; then it is journalled as done."""
        board.show(self.task.host, Outcome.PENDING, "looking")
        verdict = self._look(expected=False)
        if verdict.holds:
            self._write(board, Outcome.DONE, f"already so: {verdict.proof}", verdict)
        else:
            board.show(self.task.host, Outcome.PENDING, verdict.proof)
        return verdict.holds

    def by_command(self, board: Board) -> None:
        """Performs the action and waits for the proof."""
        assert self.task.action is not None
        if self.ready(board):
            name, doubtful = self.job, self.task_state.doubtful
            self._intend(str(self.task.action))
            board.show(self.task.host, Outcome.RUNNING, self.task.action.instruction)
            acted = self.context.executor.act(self.task.action, name, lambda line: self._progress(board, line))
            self._conclude(board, acted, doubtful=doubtful)

    def ready(self, board: Board) -> bool:
        """Whether it may be begun: what it needs holds, and the reading before its first act is made."""
        return self._may_begin(board) and self._read_before(board)

    def ask(self) -> Choice:
        """Has a person do it by hand: DONE, or SKIP; raises AbortedError."""
        note = BROKE_OFF if self.task_state.doubtful else ""
        self._intend("by hand")
        choice = self.context.person.perform(self.step, self.task, note)
        self._answered(choice)
        return choice

    def by_hand(self, board: Board) -> None:
        """Waits for the proof of what a person says is done."""
        self._conclude(board, Acted(outcome=Outcome.DONE, over=False))

    def choose(self) -> Choice | None:
        """What a person wants done about a failure; None where nobody can decide. Raises AbortedError."""
        task_state = self.task_state
        choice = self.context.person.choose(self.step, self.task, task_state.outcome, task_state.proof or BROKE_OFF)
        if choice is not None:
            self._answered(choice)
        return choice

    def skip(self, board: Board, reason: str) -> None:
        """Leaves it undone, for a reason."""
        self._write(board, Outcome.SKIPPED, f"skipped: {reason}", None)

    def settle(self, board: Board) -> None:
        """Writes what the world shows of an act that is over, and whose end nobody saw; what can't be seen stays so."""
        verdict = self._look(expected=False)
        if verdict.truth is Truth.UNSEEN:
            self._write(board, Outcome.UNKNOWN, verdict.proof, verdict)
        else:
            outcome = Outcome.DONE if verdict.holds else Outcome.FAILED
            self._write(board, outcome, f"an earlier run broke off here: {verdict.proof}", verdict, over=True)

    def cut_off(self, proof: str) -> None:
        """Writes that its job was stopped, and is gone."""
        self._record(Outcome.FAILED, proof, {}, over=True)

    def _answered(self, choice: Choice) -> None:
        self.context.journal.append(Kind.ANSWER, step=self.step.key, host=self.task.host, answer=choice.value)
        where = f"step {self.step.number}, {self.step.title}, at {self.task.host}"
        if choice is Choice.ABORT:
            raise AbortedError(f"Aborted by the operator in {where}.", hint=self.context.next_step_hint())
        if choice is Choice.SKIP and self.step.required:
            raise RefusedError(f"Can't skip {where}: it is required.", hint=self.context.plan.go_on)

    def _may_begin(self, board: Board) -> bool:
        """Looks at what the act needs; an act that may be running already would be in its own way."""
        if self.task_state.doubtful or not self.task.needs:
            return True
        board.show(self.task.host, Outcome.PENDING, "looking")
        verdict = self._together(self.task.needs, expected=True)
        if verdict.holds:
            board.show(self.task.host, Outcome.PENDING, verdict.proof)
        else:
            self._write(board, Outcome.FAILED, f"not begun: {verdict.proof}", None)
        return verdict.holds

    def _read_before(self, board: Board) -> bool:
        """Makes the reading before the first act; a later one would see what that act has done."""
        if self.task.before is None or self.task_state.before is not None:
            return True
        try:
            rows = self.context.executor.read(self.task.before).rows
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
        return self._together(self.task.checks, expected=expected)

    def _together(self, checks: Sequence[Check], *, expected: bool) -> Verdict:
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
            over=over,  # whether an act was begun and has surely ended: the next one gets a new name
        )


def _judged(acted: Acted, verdict: Verdict, *, doubtful: bool) -> tuple[Outcome, str]:
    """The world decides; the act's own word counts only where the world does not show the proof.

    `doubtful` says that an earlier act, which could not be attached to, may be at work.
    """
    if verdict.holds:
        return Outcome.DONE, verdict.proof + (f" (although {acted.sentence})" if acted.sentence else "")
    if acted.outcome is Outcome.UNKNOWN or verdict.truth is Truth.UNSEEN or doubtful:
        return Outcome.UNKNOWN, acted.sentence or verdict.proof
    return Outcome.FAILED, "; ".join(filter(None, (acted.sentence.rstrip("."), verdict.proof)))

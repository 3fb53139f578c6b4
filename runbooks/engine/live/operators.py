"""Sources of answers: the operator at the console, no operator, and the assumed operator of a dry run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.engine.live.console import Console
from runbooks.engine.model.history import Word
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Choice
from runbooks.engine.model.step import HostTask, Step

ABORT = "abort"


@dataclass(frozen=True)
class Operator:
    """A person at a terminal; there is no default answer."""

    console: Console
    present: bool = True

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Display what to do, and wait for the person's answer."""
        self.console.instruct(task.host, task.by_hand)
        if note:
            self.console.warn(f"{task.host}: {note}.")
        answers = {"d": "done", "s": "skip", "a": "abort"}
        return self._answer(f"{task.host}:", answers, step)

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Return True if the person types the word, False for `abort`; anything else is asked again."""
        self.console.warn(f"Point of no return: {step.title}.")
        for statement in statements:
            self.console.say(f"    {statement}")
        while True:
            typed = self.console.typed(f"  Type the date of the night ({word}) to go on, or {ABORT}: ")
            if typed in (word, ABORT):
                return typed == word
            self.console.say("  That is neither.")

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Ask how to handle a failure."""
        self.console.warn(f"{task.host}: {outcome.value}. {proof}")
        if task.action:
            self.console.say(f"    Attempted:  {task.action.instruction}   (on {task.host})", style="cyan")
        again = "retry" if task.action else "check again"
        return self._answer(f"{task.host}:", {"r": again, "h": "by hand", "s": "skip", "a": "abort"}, step)

    def reason(self, step: Step, task: HostTask) -> str:
        """Ask for the reason, until there is one."""
        while True:
            if typed := self.console.typed(f"  Why is {step.title} skipped on {task.host}? "):
                return typed

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Display the statements, and ask."""
        for statement in statements:
            self.console.say(f"    {statement}")
        return self.console.ask(question, {"y": "yes", "n": "no"}) == "y"

    def _answer(self, question: str, answers: dict[str, str], step: Step) -> Choice:
        if step.required:
            answers.pop("s")
        return _CHOICES[self.console.ask(question, answers)]


_CHOICES = {
    "d": Choice.DONE,
    "r": Choice.RETRY,
    "h": Choice.BY_HAND,
    "s": Choice.SKIP,
    "a": Choice.ABORT,
}


@dataclass(frozen=True)
class NoOperator:
    """No person can be asked; a run that needs an answer stops."""

    present: bool = False

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Return ABORT."""
        return Choice.ABORT

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Return False."""
        return False

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Return None."""
        return None

    def reason(self, step: Step, task: HostTask) -> str:
        """Return a text, although nothing is skipped without an operator."""
        return "no operator"

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Return False."""
        return False


@dataclass(frozen=True)
class DryRunOperator:
    """The operator of a dry run: each question is displayed, and taken as answered."""

    console: Console
    present: bool = True

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Display what a person would do."""
        self.console.instruct(task.host, task.by_hand)
        return Choice.DONE

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Display what would have to be typed."""
        self.console.warn(f"Point of no return: {step.title} would begin after {word} is typed.")
        for statement in statements:
            self.console.say(f"    {statement}")
        return True

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Return None: a dry run that fails stops."""
        return None

    def reason(self, step: Step, task: HostTask) -> str:
        """Return a text, although a dry run skips nothing."""
        return "dry run"

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Display what a person would have to agree to."""
        self.console.say(f"\nA person would be asked: {question}", style="bold")
        for statement in statements:
            self.console.say(f"    {statement}")
        return True

    def approver(self, run: str, typed: Word) -> str:
        """Display that a second person would have to approve."""
        self.console.say("    A second person would have to approve it.")
        return "a second person"

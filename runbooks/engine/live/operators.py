"""Who answers: the operator at the console, nobody, or, in a dry run, a person who is only spoken of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from runbooks.engine.live.console import Console
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
        """Shows what to do, and waits until the person says that it is done."""
        self.console.instruct(task.host, task.by_hand)
        if note:
            self.console.warn(f"{task.host}: {note}.")
        answers = {"d": "done", "s": "skip", "a": "abort"}
        return self._answer(f"{task.host}:", answers, step)

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Has the word typed; `abort` is the other answer."""
        self.console.warn(f"Point of no return: {step.title}.")
        for statement in statements:
            self.console.say(f"    {statement}")
        while True:
            said = self.console.typed(f"  Type the date of the night ({word}) to go on, or {ABORT}: ")
            if said in (word, ABORT):
                return said == word
            self.console.say("  That is neither.")

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Asks what to do about a failure."""
        self.console.warn(f"{task.host}: {outcome.value}. {proof}")
        if task.action:
            self.console.say(f"    What is tried:  {task.action.instruction}   (on {task.host})", style="cyan")
        again = "retry" if task.action else "look again"
        return self._answer(f"{task.host}:", {"r": again, "h": "by hand", "s": "skip", "a": "abort"}, step)

    def reason(self, step: Step, task: HostTask) -> str:
        """Asks why, until there is an answer."""
        while True:
            if said := self.console.typed(f"  Why is {step.title} skipped on {task.host}? "):
                return said

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Shows what it is about, and asks."""
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
    """Nobody can be asked; whatever needs an answer stops."""

    present: bool = False

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Nobody does anything by hand."""
        return Choice.ABORT

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Nobody confirms."""
        return False

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Nobody decides."""
        return None

    def reason(self, step: Step, task: HostTask) -> str:
        """Nobody skips."""
        return "nobody was there"

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Nobody agrees."""
        return False


@dataclass(frozen=True)
class DryRunOperator:
    """The person of a dry run: what would be asked is shown, and taken as done."""

    console: Console
    present: bool = True

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Shows what a person would do."""
        self.console.instruct(task.host, task.by_hand)
        return Choice.DONE

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Shows what would have to be typed."""
        self.console.warn(f"Point of no return: {step.title} would begin after {word} is typed.")
        for statement in statements:
            self.console.say(f"    {statement}")
        return True

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """A dry run that fails stops."""
        return None

    def reason(self, step: Step, task: HostTask) -> str:
        """Nothing is skipped in a dry run."""
        return "dry run"

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """A dry run has no earlier one to differ from."""
        return True

    def approver(self, run: str, typist: str) -> str:
        """Shows that somebody else would have to approve."""
        self.console.say("    Somebody else would have to approve it.")
        return "somebody else"

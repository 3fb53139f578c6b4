"""The scripted operator of a rehearsal: types what the instructions say, so that a night runs unattended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from errors import CutoverError
from runbooks.engine.live.console import Console
from runbooks.engine.model.actions import RemoteCommand
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Choice, Ssh
from runbooks.engine.model.probe_output import complaint
from runbooks.engine.model.step import HostTask, Step

PATIENCE = timedelta(minutes=10)


@dataclass(frozen=True)
class ScriptedOperator:
    """An operator that types every `$` line on its host, as it stands."""

    ssh: Ssh
    console: Console
    present: bool = True

    def perform(self, step: Step, task: HostTask, note: str) -> Choice:
        """Type the lines; CutoverError if one of them fails."""
        self.console.instruct(task.host, task.by_hand)
        for line in task.by_hand:
            if line.startswith("$ "):
                self._type(RemoteCommand(host=task.host, command=line.removeprefix("$ "), timeout=PATIENCE))
        return Choice.DONE

    def confirm(self, step: Step, statements: Sequence[str], word: str) -> bool:
        """Type the word."""
        self.console.warn(f"Point of no return: {step.title}.")
        for statement in (*statements, f"The scripted operator types {word}."):
            self.console.say(f"    {statement}")
        return True

    def choose(self, step: Step, task: HostTask, outcome: Outcome, proof: str) -> Choice | None:
        """Retry what an earlier run interrupted and nothing proves; at a failure, stop the rehearsal."""
        return Choice.RETRY if outcome is Outcome.RUNNING else None

    def reason(self, step: Step, task: HostTask) -> str:
        """Return the reason; a rehearsal skips nothing."""
        return "the scripted operator skips nothing"

    def agree(self, statements: Sequence[str], question: str) -> bool:
        """Say yes: a rehearsal is resumed as it is now."""
        for statement in (*statements, f"{question} The scripted operator says yes."):
            self.console.say(f"    {statement}")
        return True

    def _type(self, command: RemoteCommand) -> None:
        output = self.ssh.run(command)
        if output.code != 0:
            raise CutoverError(f"By hand {complaint(str(command), output)}.", hint="The rehearsal stops here.")

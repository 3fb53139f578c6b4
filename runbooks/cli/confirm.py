"""The environment's name, typed before anything of production goes that no archive brings back."""

from __future__ import annotations

from errors import AbortedError, UsageError
from inventory.model import Environment
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console

CONFIRM = "the environment's name, for where nobody is at a terminal to type it"  # the option's help


def confirmed(environment: Environment, word: str, act: str) -> None:
    """Has a person type the environment's name before an act in production; `word` is what was given instead.

    Raises UsageError for another word, or where nobody is there to type; AbortedError where something else is typed.
    """
    if not environment.production:
        return
    name = environment.name
    if word:
        if word != name:
            raise UsageError(f"--confirm: expected {name}, got {word!r}.")
        return
    console = Console(clock=SystemClock())
    if not console.interactive:
        raise UsageError(
            f"To {act} in {name} asks for its name, and there is no terminal.", hint=f"--confirm={name} says it."
        )
    if console.typed(f"Type the environment's name ({name}) to {act}: ") != name:
        raise AbortedError("That is not its name: nothing was done.")

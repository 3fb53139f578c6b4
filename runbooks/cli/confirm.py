"""The environment's name, typed before production loses anything that no archive can restore."""

from __future__ import annotations

from errors import AbortedError, UsageError
from inventory.model import Environment
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console


def confirmed(environment: Environment, word: str, act: str) -> None:
    """Have the operator type the environment's name before an act in production; `word` was given instead.

    Raises UsageError for another word or without a terminal, AbortedError if something else is typed.
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

"""Earlier steps that a step's proof needs: without them it is refused before its act, which may take hours."""

from __future__ import annotations

from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import Facts
from runbooks.engine.model.step import Check, Verdict, fails, holds


def done_earlier(title: str, *steps: tuple[str, str]) -> Check:
    """Return the check that one of these steps, each with its host, is done in this night; it reads only the journal.

    `title` says in a few words what must have happened, such as "archiving has ended in this night".
    """

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        if any(facts.finished(step, host) for step, host in steps):
            return holds(title)
        keys = " or ".join(step for step, _ in steps)
        return fails(f"{keys} is not done in this night, and the proof at the end needs that {title}")

    return Check(title=title, looks=(), judge=judge)

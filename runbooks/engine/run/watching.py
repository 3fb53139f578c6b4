"""Looks at what must hold at all times while a step lasts, not only before and after it."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from errors import CutoverError
from runbooks.engine.live.background import repeated
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.step import Check, Step, Truth, Verdict
from runbooks.engine.run.context import RunContext

PAUSE = 30.0  # seconds between two looks


class InvariantBroken(CutoverError):
    """An invariant does not hold, or did not while a step lasted."""


@contextmanager
def watching(context: RunContext, step: Step) -> Iterator[None]:
    """Look again and again while the block runs; journal what does not hold, once.

    Raises InvariantBroken at the end of the block if an invariant did not hold meanwhile, even if it does by now.
    """
    watch = _Watch(context, step)
    with repeated(watch.look, PAUSE, first=PAUSE):
        yield
    watch.refuse()


class _Watch:
    def __init__(self, context: RunContext, step: Step) -> None:
        self._context = context
        self._step = step
        self._broken: dict[str, Verdict] = {}  # by the check's title
        self._writing = threading.Lock()

    def look(self) -> None:
        """Look at everything once."""
        plan = self._context.plan
        with suppress(CutoverError):  # a journal that can't be written stops the run at its own next event
            self._look_at((*plan.invariants, *(each.check for each in plan.watched)))

    def refuse(self) -> None:
        """Raise InvariantBroken if an invariant did not hold at some look."""
        plan = self._context.plan
        stopping = (*plan.invariants, *(each.check for each in plan.watched if each.stops))
        broken = [check for check in stopping if check.title in self._broken]
        if broken:
            lines = [f"  - {check.title}: {self._broken[check.title].proof}" for check in broken]
            head = f"While step {self._step.label}, {self._step.title}, lasted, this did not hold:"
            hint = f"Find out who changed it, then {plan.go_on}"
            raise InvariantBroken("\n".join([head, *lines]), hint=hint)

    def _look_at(self, checks: Sequence[Check]) -> None:
        for check in checks:
            verdict = self._context.executor.look(check, self._context.facts(), expected=True)
            if verdict.truth is Truth.FAILS:
                self._note(check, verdict)

    def _note(self, check: Check, verdict: Verdict) -> None:
        with self._writing:
            if check.title in self._broken:
                return
            self._broken[check.title] = verdict
        self._context.journal.append(Kind.BROKEN, step=self._step.key, check=check.title, proof=verdict.proof)
        self._context.screen.warn(f"{check.title}: does not hold. {verdict.proof}")

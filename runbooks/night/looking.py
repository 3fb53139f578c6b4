"""Looks at a live environment apart from a run: every subject at once, by the same executor as a night's."""

from __future__ import annotations

from collections.abc import Sequence

from inventory.model import Environment
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.model.history import Facts, History
from runbooks.engine.model.preconditions import Finding, Subject
from runbooks.engine.model.redactor import redactor_for
from runbooks.engine.run.preflight import examine
from runbooks.night.live_ports import live_executor


def looked_at(environment: Environment, subjects: Sequence[Subject]) -> tuple[Finding, ...]:
    """Look at all subjects, and return the findings in their order."""
    clock = SystemClock()
    with redactor_for(environment).errors(), live_executor(environment, clock) as executor:
        return examine(subjects, executor, lambda: Facts(now=clock.now(), history=History()))

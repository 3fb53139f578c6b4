"""A rehearsed night, with a scripted operator."""

from __future__ import annotations

from errors import UsageError
from inventory.model import Environment
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.console import Console
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.redactor import redactor_for
from runbooks.night import run
from runbooks.night.live_ports import fleet_of
from runbooks.night.rehearsal_operator import ScriptedOperator


def rehearsed(environment: Environment, plan: Plan, *, go_on: bool = False, take_over: bool = False) -> None:
    """Run the whole night on a fresh journal, or resume it; UsageError outside a rehearsal."""
    if environment.production or environment.overlay is None:
        raise UsageError(f"{environment.name} is not a rehearsal, so it has no scripted operator.")
    clock = SystemClock()
    console = Console(clock=clock, redactor=redactor_for(environment))
    with fleet_of(environment) as fleet:
        terminal = run.Terminal(clock, console, ScriptedOperator(fleet, console))
        if go_on:
            run.resume(environment, plan, terminal, take_over=take_over)
        else:
            run.run(environment, plan, terminal, afresh=True)

"""A night with a played person, in a rehearsal."""

from __future__ import annotations

from contextlib import closing

from errors import UsageError
from inventory.model import Environment
from runbooks.engine.clock import SystemClock
from runbooks.engine.console import Console
from runbooks.engine.fleet import Fleet
from runbooks.engine.plan import Plan
from runbooks.engine.redactor import redactor_for
from runbooks.nights import night
from runbooks.nights.played import Played


def rehearsed(environment: Environment, plan: Plan, *, go_on: bool = False, take_over: bool = False) -> None:
    """The whole night on a fresh journal, or what is left of it; UsageError anywhere but in a rehearsal."""
    if environment.production or environment.overlay is None:
        raise UsageError(f"{environment.name} is no rehearsal: nobody plays the person there.")
    clock = SystemClock()
    console = Console(clock=clock, redactor=redactor_for(environment))
    with closing(Fleet(environment.hosts, environment.ssh)) as fleet:
        cast = night.Cast(clock, console, Played(fleet, console))
        if go_on:
            night.resume(environment, plan, cast, take_over=take_over)
        else:
            night.run(environment, plan, cast, afresh=True)

"""A team's own steps: made from the inventory, and put between the steps of a checklist."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from inventory.model import Environment, Host, Role
from inventory.own_step import OwnStep
from runbooks.engine.model.step import Debt, Mark, Step
from runbooks.steps.context import NightContext
from runbooks.steps.word_probe import prints


def with_own_steps(steps: Iterable[Step], night: NightContext) -> tuple[Step, ...]:
    """Return a checklist's steps with the night's own steps between them; at one place, in the inventory's order."""
    return tuple(each for step in steps for each in _around(step, night))


def own_payers(night: NightContext) -> tuple[Step, ...]:
    """Return the own steps that switch something on again."""
    return tuple(_own_step(night, own) for own in night.own_steps if own.pays)


def hosts_of(own: OwnStep, environment: Environment) -> tuple[Host, ...]:
    """Return the hosts of an own step."""
    return environment.with_role(Role(own.role)) if own.role else tuple(environment.hosts[name] for name in own.hosts)


def not_in(steps: Sequence[Step], night: NightContext) -> tuple[str, ...]:
    """Return a note for each of the night's own steps whose place this checklist does not have."""
    keys = {step.key for step in steps}
    left_out = [own for own in night.own_steps if own.key not in keys]
    return tuple(
        f"Not in this checklist: {own.title} ({own.key}), as it has no step {own.before or own.after}."
        for own in left_out
    )


def _around(step: Step, night: NightContext) -> Iterator[Step]:
    yield from (_own_step(night, own) for own in night.own_steps if own.before == step.key)
    yield step
    yield from (_own_step(night, own) for own in night.own_steps if own.after == step.key)


def _own_step(night: NightContext, own: OwnStep) -> Step:
    hosts = hosts_of(own, night.environment)
    return Step(
        key=own.key,
        title=own.title,
        mark=Mark.AUTOMATE if own.command else Mark.MANUAL,
        tasks=tuple(
            night.task(
                own.key,
                host,
                checks=(prints(host, night.filled(own.probe or "", host), "its probe prints", own.expect or ""),),
                lasts=own.lasts,
                owes=_debt(own.owes, host),
                pays=_debt(own.pays, host),
            )
            for host in hosts
        ),
        between=True,
        required=own.required,
        estimate=own.estimate,
    )


def _debt(what: str | None, host: Host) -> Debt | None:
    return Debt(what=what, where=host.name) if what else None

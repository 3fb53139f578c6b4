"""Maintenance mode: the product is closed to its users while the night lasts."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

from inventory.model import Role
from runbooks.engine.model.actions import HttpGet, ProbeOutput
from runbooks.engine.model.history import Facts
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.step import Check, Debt, Mark, Step, Verdict, fails, holds
from runbooks.steps.archiving import none_half_way
from runbooks.steps.context import NightContext, builds

DEBT = Debt(what="maintenance mode", where="the app")
ON, OFF = 503, 200


@builds("maintenance.on")
def on(night: NightContext, key: str) -> Step:
    """Apangea maintenance mode on."""
    host = night.environment.only(Role.CONTROL)
    return Step(
        key=key,
        title="Apangea maintenance mode on",
        mark=Mark.AUTOMATE,
        tasks=(replace(night.task(key, host, checks=(answers(night, ON),), owes=DEBT), at_least_once=True),),
        required=True,
        gate="maintenance mode on",
        settle=timedelta(minutes=2),
        estimate=timedelta(minutes=2),
    )


@builds("maintenance.off")
def off(night: NightContext, key: str) -> Step:
    """Apangea maintenance mode off."""
    host = night.environment.only(Role.CONTROL)
    return Step(
        key=key,
        title="Apangea maintenance mode off",
        mark=Mark.AUTOMATE,
        tasks=(night.task(key, host, checks=(answers(night, OFF),), needs=(none_half_way(night),), pays=DEBT),),
        settle=timedelta(minutes=5),
        estimate=timedelta(minutes=2),
    )


def stays_on(night: NightContext) -> Check:
    """Return the check that no visitor gets in after the step that switches it on, until the one that ends it."""
    url, host = night.app.url, night.environment.only(Role.CONTROL).name

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        (answer,) = outputs
        is_on = facts.finished(on.key, host) and facts.history.task_state(off.key, host).outcome is Outcome.PENDING
        if is_on and answer.code < HTTPStatus.BAD_REQUEST:
            return fails(f"{answer.code} {answer.text} at {url}, expected {ON}")
        return holds(f"{answer.code} {answer.text} at {url}")

    return Check(title="the app stays closed to its users", looks=(HttpGet(url=url),), judge=judge)


def answers(night: NightContext, status: int) -> Check:
    """Return the check that the app answers with this status."""
    url = night.app.url

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        (answer,) = outputs
        sentence = f"{answer.code} {answer.text} at {url}"
        return holds(sentence) if answer.code == status else fails(f"{sentence}, expected {status}")

    return Check(title=f"the app answers {status}", looks=(HttpGet(url=url),), judge=judge)

"""Maintenance mode: the product answers nobody while the night lasts."""

from __future__ import annotations

from datetime import timedelta

from inventory.model import Role
from runbooks.engine.model.actions import HttpGet, Reading
from runbooks.engine.model.history import Facts
from runbooks.engine.model.step import Check, Debt, Mark, Step, Verdict, fails, holds
from runbooks.steps.archiving import none_half_way
from runbooks.steps.context import Tonight, builds

DEBT = Debt(what="maintenance mode", where="the app")
ON, OFF = 503, 200


@builds("maintenance.on")
def on(tonight: Tonight, key: str) -> Step:
    """Apangea maintenance mode on."""
    host = tonight.environment.only(Role.CONTROL)
    return Step(
        key=key,
        title="Apangea maintenance mode on",
        mark=Mark.AUTOMATE,
        tasks=(tonight.task(key, host, checks=(answers(tonight, ON),), owes=DEBT),),
        required=True,
        gate="maintenance mode on",
        settle=timedelta(minutes=2),
        estimate=timedelta(minutes=2),
    )


@builds("maintenance.off")
def off(tonight: Tonight, key: str) -> Step:
    """Apangea maintenance mode off."""
    host = tonight.environment.only(Role.CONTROL)
    return Step(
        key=key,
        title="Apangea maintenance mode off",
        mark=Mark.AUTOMATE,
        tasks=(tonight.task(key, host, checks=(answers(tonight, OFF),), needs=(none_half_way(tonight),), pays=DEBT),),
        settle=timedelta(minutes=5),
        estimate=timedelta(minutes=2),
    )


def answers(tonight: Tonight, status: int) -> Check:
    """The app answers with this status."""
    url = tonight.environment.app.url

    def judge(readings: tuple[Reading, ...], facts: Facts) -> Verdict:
        (answer,) = readings
        sentence = f"{answer.code} {answer.text} at {url}"
        return holds(sentence) if answer.code == status else fails(f"{sentence}, expected {status}")

    return Check(title=f"the app answers {status}", looks=(HttpGet(url=url),), judge=judge)

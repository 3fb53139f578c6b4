"""The old warehouse's retirement, as in 2013: it gets another name, its ETL stops for good, and it is made small."""

from __future__ import annotations

from datetime import timedelta

from runbooks.engine.model.actions import Reading, RemoteCommand
from runbooks.engine.model.history import Facts
from runbooks.engine.model.probe_output import Unreadable
from runbooks.engine.model.step import Check, Mark, Step, Verdict, fails, holds
from runbooks.steps.app import uses_new
from runbooks.steps.context import Tonight, builds
from runbooks.steps.warehouse import DEBT, DISABLED, etl_is

LONGEST_WORD = 200  # characters of a probe's answer


@builds("retirement.rename")
def rename(tonight: Tonight, key: str) -> Step:
    """Rename the old warehouse after its years."""
    wanted = tonight.handover.old_name.replace("{years}", tonight.years)
    check = says(tonight, tonight.handover.probes.name, "the old warehouse is called", wanted)
    return Step(
        key=key,
        title=f"Rename the old warehouse to {tonight.years}",
        mark=Mark.MANUAL,
        tasks=(tonight.task(key, tonight.old_warehouse, checks=(check,)),),
        estimate=timedelta(minutes=2),
    )


@builds("retirement.stop-etl")
def stop_etl(tonight: Tonight, key: str) -> Step:
    """Turn the ETL's dynos to 0."""
    checks = (
        says(tonight, tonight.handover.probes.dynos, "the number of ETL dynos is", "0"),
        *(etl_is(tonight, warehouse, DISABLED) for warehouse in tonight.warehouses),
    )
    return Step(
        key=key,
        title="Turn ETL dynos to 0",
        mark=Mark.MANUAL,
        tasks=(tonight.task(key, tonight.old_warehouse, checks=checks, owes=DEBT),),
        required=True,
        settle=timedelta(minutes=2),
        estimate=timedelta(minutes=2),
    )


@builds("retirement.spin-down")
def spin_down(tonight: Tonight, key: str) -> Step:
    """Spin down the old warehouse to something smaller, once the app uses it no more."""
    check = says(tonight, tonight.handover.probes.size, "the old warehouse's size is", tonight.handover.size)
    task = tonight.task(
        key, tonight.old_warehouse, checks=(check,), needs=(uses_new(tonight),), lasts=timedelta(hours=2)
    )
    return Step(
        key=key,
        title="Spin down the old warehouse",
        mark=Mark.MANUAL,
        tasks=(task,),
        settle=timedelta(minutes=10),
        estimate=timedelta(minutes=15),
    )


def says(tonight: Tonight, probe: str, sentence: str, wanted: str) -> Check:
    """A probe on the old warehouse prints just this word."""
    look = RemoteCommand(host=tonight.old_warehouse.name, command=probe)

    def judge(readings: tuple[Reading, ...], facts: Facts) -> Verdict:
        said = readings[0].text.strip()
        if readings[0].code != 0 or not said or "\n" in said:
            raise Unreadable(f"expected a word, got {said[:LONGEST_WORD]!r} (exit {readings[0].code})")
        return holds(f"{sentence} {said}") if said == wanted else fails(f"{sentence} {said}, expected {wanted}")

    return Check(title=f"{sentence} {wanted}", looks=(look,), judge=judge)

"""The old warehouse's retirement, as in 2013: it is renamed, its ETL stops for good, and it is made smaller."""

from __future__ import annotations

from datetime import timedelta

from runbooks.engine.model.step import Mark, Step
from runbooks.steps.app import uses_new
from runbooks.steps.context import NightContext, builds
from runbooks.steps.warehouse import DEBT, DISABLED, etl_is
from runbooks.steps.word_probe import prints


@builds("retirement.rename")
def rename(night: NightContext, key: str) -> Step:
    """Rename the old warehouse after its years."""
    new_name = night.handover.old_name.replace("{years}", night.years)
    check = prints(night.old_warehouse, night.handover.probes.name, "the old warehouse is called", new_name)
    return Step(
        key=key,
        title=f"Rename the old warehouse to {night.years}",
        mark=Mark.MANUAL,
        tasks=(night.task(key, night.old_warehouse, checks=(check,)),),
        estimate=timedelta(minutes=2),
    )


@builds("retirement.stop-etl")
def stop_etl(night: NightContext, key: str) -> Step:
    """Turn the ETL's dynos to 0, on whichever warehouse has it."""
    none = prints(night.old_warehouse, night.handover.probes.dynos, "the number of ETL dynos is", "0")
    checks = {
        night.old_warehouse: (none, etl_is(night, night.old_warehouse, DISABLED)),
        night.new_warehouse: (etl_is(night, night.new_warehouse, DISABLED),),
    }
    return Step(
        key=key,
        title="Turn ETL dynos to 0",
        mark=Mark.MANUAL,
        tasks=tuple(night.task(key, host, checks=each, owes=DEBT) for host, each in checks.items()),
        required=True,
        settle=timedelta(minutes=2),
        estimate=timedelta(minutes=2),
    )


@builds("retirement.spin-down")
def spin_down(night: NightContext, key: str) -> Step:
    """Spin down the old warehouse to a smaller size, once the app no longer uses it."""
    check = prints(night.old_warehouse, night.handover.probes.size, "the old warehouse's size is", night.handover.size)
    task = night.task(key, night.old_warehouse, checks=(check,), needs=(uses_new(night),), lasts=timedelta(hours=2))
    return Step(
        key=key,
        title="Spin down the old warehouse",
        mark=Mark.MANUAL,
        tasks=(task,),
        settle=timedelta(minutes=10),
        estimate=timedelta(minutes=15),
    )

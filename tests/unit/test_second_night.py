"""A later night of a year: it starts from the state that the first one left, and ends done or is abandoned."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from errors import Problems, UnknownError
from inventory.model import Night
from runbooks.cutover import back_out_steps, plan_of
from runbooks.engine.model.debts import owed
from runbooks.engine.run.abandon import abandon_night
from runbooks.engine.run.preflight import examine
from runbooks.engine.run.runner import Runner
from tests.fakes import NIGHT_2013, FakeNight, plan_of_2013, rehearsal
from tests.unit.test_abandon import stopped_before

SECOND = date(2014, 8, 22)
KEYS = [step.key for step in plan_of(rehearsal(), SECOND).steps]
NEW = {"warehouse-old": False, "warehouse-new": True}


def second_night(checklist: str = "2014", *, max_age: timedelta | None = None) -> FakeNight:
    """A second night by a checklist, a week after the first one was done; `max_age`: of a backup that may be used."""
    first = FakeNight() if checklist == "2014" else FakeNight(plan=plan_of_2013())
    first.run()
    first.clock.wait(timedelta(days=7))
    day = SECOND if checklist == "2014" else NIGHT_2013 + timedelta(days=7)
    nights = {**rehearsal().nights, day: Night(depth=rehearsal().night(day).depth, backup_max_age=max_age)}
    second = FakeNight(plan=plan_of(replace(rehearsal(), nights=nights), day, checklist), clock=first.clock)
    vars(second.production).update(vars(first.production), acts=[], archived=False)
    return second


@pytest.mark.parametrize("checklist", ["2014", "2013"])
def test_it_goes_to_its_end_from_the_state_that_the_first_one_left(checklist: str) -> None:
    second = second_night(checklist)
    assert second.production.etl == NEW
    assert [
        found for found in examine(second.plan.preflight, second.executor, second.context.facts) if found.stops
    ] == []

    second.run()

    assert set(second.outcomes().values()) == {"done"}
    assert owed(second.journal.events) == ()
    assert second.production.etl == NEW
    done_again = {act.split(": ")[1] for act in second.production.acts}
    assert {"backup dump", "warehouse rebuild"} <= done_again  # those of the first night prove nothing
    assert not [act for act in done_again if act.startswith(("dns-upsert", "heroku apps:rename", "heroku config:set"))]


@pytest.mark.parametrize("key", KEYS[1:])
def test_backing_out_enables_the_etl_on_the_new_warehouse_wherever_it_stopped(key: str) -> None:
    second = second_night()
    stopped_before(second, key)
    abandon_night(second.context, back_out_steps(rehearsal(), SECOND))

    assert owed(second.journal.events) == ()
    assert second.production.etl == NEW
    stopped_etl = KEYS.index(key) > KEYS.index("warehouse.stop-etl")
    archived = KEYS.index(key) > KEYS.index("archiving.run")
    assert ("warehouse-new: etl on" in second.production.acts) == stopped_etl
    assert ("warehouse-new: warehouse rebuild" in second.production.acts) == archived


def test_no_etl_is_enabled_while_the_warehouse_in_use_is_unknown() -> None:
    second = second_night()
    stopped_before(second, "backups.disable")
    names = second.production.names.copy()
    second.production.names.clear()

    with pytest.raises(UnknownError, match=r"whether the new warehouse is in use failed\. .*does not resolve") as told:
        abandon_night(second.context, back_out_steps(rehearsal(), SECOND))
    assert "inv cutover.back-out --date=2014-08-22" in str(told.value.hint)
    assert not any(second.production.etl.values())

    second.production.names.update(names)
    abandon_night(second.context, back_out_steps(rehearsal(), SECOND))
    assert second.production.etl == NEW


def test_a_command_that_stops_the_etl_of_one_warehouse_alone_is_refused_before_the_night() -> None:
    environment = rehearsal()
    commands = {**environment.commands, "warehouse.stop-etl": "ttmscalr shutdown:sidekiq -f warehouse-production"}

    with pytest.raises(
        Problems, match=r"commands/warehouse\.stop-etl: expected \{warehouse\}, because on a later night"
    ):
        plan_of(replace(environment, commands=commands), SECOND)


@pytest.mark.parametrize("known", [True, False])
def test_a_backup_from_before_the_first_nights_archiving_is_not_used_whatever_its_age_may_be(known: bool) -> None:
    second = second_night(max_age=timedelta(days=9))
    backup = second.production.backup["db-master"]
    second.context.begin(archived_before=backup + timedelta(hours=1) if known else None)

    Runner(second.context).run()

    assert ("db-master: backup dump" in second.production.acts) == known


def test_rows_that_the_old_warehouse_will_lack_are_warned_of_and_stop_nothing() -> None:
    second = second_night()
    second.production.stragglers = {"since": "2014-08-15T21:03:00+00:00", "schools": {"21": 132}, "rows": 132}

    findings = examine(second.plan.preflight, second.executor, second.context.facts)

    [late] = [str(finding) for finding in findings if finding.warns and finding.subject == "debug"]
    assert "the old warehouse lacks 132 rows of 1 school, written since 2014-08-15 21:03 UTC. " in late
    assert "inv archive.stragglers --date=2014-08-22 shows each school." in late

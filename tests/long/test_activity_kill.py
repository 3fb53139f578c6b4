"""Past months, killed at any instant and run again; here a sample, `make torture` tries all."""

from __future__ import annotations

from datetime import date

from rehearsal.seed_plan import SCHOOL
from tests.torture.months import FEW, FEW_DATABASES, Months, School, in_any_order
from tests.worlds import NewWorld

ROUNDS = 3
ALL_OVER = date(2014, 9, 5)  # when all is due that ever ended


def test_months_killed_out_and_back_and_run_again_lose_no_row(new_world: NewWorld) -> None:
    with new_world(FEW_DATABASES) as world:
        months = Months(world=world, day=FEW)
        chosen = (in_any_order(months.moments[verb], 2014)[:ROUNDS] for verb in months.moments)
        for archive_at, restore_at in zip(*chosen, strict=True):
            assert len(months.round(archive_at, restore_at)) == 2


def test_a_school_killed_on_its_way_back_with_its_months_loses_no_row(new_world: NewWorld) -> None:
    with new_world(FEW_DATABASES) as world:
        school = School(world=world, school=SCHOOL, day=ALL_OVER)
        for number in in_any_order(school.moments, SCHOOL)[:ROUNDS]:
            assert school.killed(number).lost == 0

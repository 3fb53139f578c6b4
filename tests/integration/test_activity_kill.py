"""Past months, killed at any instant and run again; here a sample, `make torture` tries all."""

from __future__ import annotations

from tests.torture.months import FEW, FEW_DATABASES, Months
from tests.worlds import NewWorld

ROUNDS = 3  # of two kills each


def test_months_killed_out_and_back_and_run_again_lose_no_row(new_world: NewWorld) -> None:
    with new_world(FEW_DATABASES) as world:
        months = Months(world=world, day=FEW)
        chosen = (months.in_any_order(verb)[:ROUNDS] for verb in months.moments)
        for archive_at, restore_at in zip(*chosen, strict=True):
            assert len(months.round(archive_at, restore_at)) == 2

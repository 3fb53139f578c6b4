"""Past months out of a world and back, as `inv activity.archive` and `inv activity.restore` do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

from archiver.delete.throttle import Throttle
from archiver.postgres.session import Session
from archiver.runs.month_result import ShardMonths
from archiver.runs.monthly import archive_activity
from archiver.runs.monthly_restore import Returned, restore_month, tenants_of_month
from inventory.keys import Key
from runbooks.activity import span_at
from tests.worlds import World, raise_failure


@dataclass(kw_only=True)
class Meanwhile(Throttle):
    """Runs an action when rows are extracted, stored and verified, and the first are about to be deleted."""

    act: Callable[[], None]
    waits: int = field(default=0)

    def wait(self, session: Session) -> None:
        """Wait as ever, and act the second time."""
        self.waits += 1
        if self.waits == 2:  # the first is before anything is read
            self.act()
        super().wait(session)


def archive_months(
    world: World, day: date, *, pretend: bool = False, throttle: Throttle | None = None
) -> list[ShardMonths]:
    """Archive what is due on a day; raise what failed."""
    with world.archiver("test of months") as archiver:
        outcomes = archive_activity(
            archiver, span_at(world.environment, day), throttle or Throttle(), raise_failure, pretend=pretend
        )
    return [outcome.item for outcome in outcomes]


def restore_months(world: World, month: str, school: Key | None = None, *, pretend: bool = False) -> list[Returned]:
    """Restore a month, of all or of one school; raise what failed."""
    with world.archiver("test of months") as archiver:
        of_month = tenants_of_month(archiver, month, school)
        return restore_month(archiver, month, of_month, raise_failure, pretend=pretend)

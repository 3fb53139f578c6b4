"""The progress of a night's archiving, read from the records in master: from any host, whichever process archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from archiver.postgres import tenants
from archiver.postgres.databases import Databases
from archiver.postgres.locks import at_work
from archiver.postgres.own_schema import ready
from archiver.postgres.tenants import TenantFilter
from archiver.records.state import State
from inventory.keys import key_of_text


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The tenants whose records are in one state."""

    state: State
    tenants: int
    rows: int  # in their archives
    size: int  # bytes of their tarballs


@dataclass(frozen=True, kw_only=True)
class NightProgress:
    """The records of a night at one moment."""

    night: date
    waiting: int  # tenants selected for the night and not started
    standings: Sequence[Standing]  # in the order of an archive's life; only states that occur
    verified: int  # tenants with a verified archive, deleted or not
    began: datetime | None  # when the first was started; None: none yet
    last: datetime | None  # when the last archive was verified
    at_work: Sequence[str]  # the sessions at work, and since when

    @property
    def begun(self) -> int:
        """Number of tenants with a record."""
        return sum(standing.tenants for standing in self.standings)

    @property
    def per_minute(self) -> float | None:
        """Archives verified per minute; None before the first."""
        if self.began is None or self.last is None:
            return None
        minutes = (self.last - self.began).total_seconds() / 60
        return self.verified / minutes if minutes > 0 else None

    def to_json(self) -> dict[str, Any]:
        """Return plain data: states by their values, times in ISO format."""
        plain = {
            **asdict(self),
            "standings": [{**asdict(standing), "state": standing.state.value} for standing in self.standings],
        }
        times = {key: value.isoformat() for key, value in plain.items() if isinstance(value, date)}
        return {**plain, **times, "per_minute": self.per_minute}


def progress(databases: Databases, year: int, night: date, chosen: TenantFilter) -> NightProgress:
    """Read the progress of a night; `chosen` names the tenants it takes in."""
    master = databases.master
    selected = {tenant.id for tenant in tenants.taken(master, databases.model.tenant, chosen)}
    has_schema = ready(master)
    begun = master.rows(_BEGUN, (night, year), doing="reading the records") if has_schema else []
    rows = master.rows(_STANDINGS, (night,), doing="reading the records") if has_schema else []
    by_state = {State(row[0]): Standing(state=State(row[0]), tenants=row[1], rows=row[2], size=row[3]) for row in rows}
    return NightProgress(
        night=night,
        waiting=len(selected - {key_of_text(row[0]) for row in begun}),
        standings=[by_state[state] for state in State if state in by_state],
        verified=sum(row[4] for row in rows),
        began=min((row[5] for row in rows), default=None),
        last=max((row[6] for row in rows if row[6]), default=None),
        at_work=at_work(master),
    )


_BEGUN = (
    "SELECT key FROM archiver.archives WHERE kind = 'tenant' AND (night = %s OR (year = %s AND state = 'archived'))"
)
_STANDINGS = """
SELECT state, count(*), coalesce(sum(own.rows), 0)::bigint, coalesce(sum(size), 0)::bigint,
       count(verified_at), min(started_at), max(verified_at)
  FROM archiver.archives, LATERAL (SELECT sum((value ->> 'rows')::bigint) AS rows FROM jsonb_each(members)) own
 WHERE kind = 'tenant' AND night = %s GROUP BY state
"""

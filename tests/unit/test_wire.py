"""Messages between a run and its workers: plain JSON, there and back."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import pytest

from archiver.postgres.session import DatabaseError
from archiver.postgres.tenants import Include, OwnDepths
from archiver.records.archive_request import ArchiveRequest
from archiver.runs import wire
from archiver.runs.context import ArchiveOutcome
from archiver.runs.units import Unit, UnitResult
from archiver.runs.wire import Job
from errors import CutoverError, DamagedError, LockedError, Problems, UsageError
from inventory.catalog import DEFAULT_DEPTH
from tests.worlds import DEPTHS


@pytest.mark.parametrize("night", [None, date(2014, 8, 15)])
@pytest.mark.parametrize("depth", DEPTHS)
def test_a_unit_comes_back_as_it_was(night: date | None, depth: str) -> None:
    until = datetime(2014, 8, 16, 6, tzinfo=UTC) if night else None
    only = Include(tenants={13: "closed"}, customers={99: "will not renew, OPS-510"}) if night else None
    own = OwnDepths(tenants={13: "students"}, customers={99: "promote"}) if night else OwnDepths()
    request = ArchiveRequest(
        year=2013, depth=depth, night=night, pretend=night is None, until=until, only=only, own_depths=own
    )
    job = Job(unit=Unit(shard="shard_1", tenant_ids=(5, 13), request=request), memory=1 << 30, scope="a/b")

    assert wire.job(json.loads(json.dumps(job.to_json()))) == job


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DamagedError("cut off", hint="look"), DamagedError),
        (LockedError("at work"), LockedError),
        (DatabaseError("refused", code="55P03", hint="wait"), CutoverError),
        (Problems("several:", ["one", "two"]), UsageError),
    ],
)
def test_an_end_comes_back_with_its_messages(error: CutoverError, kind: type[CutoverError]) -> None:
    unit = Unit(shard="shard_1", tenant_ids=(5, 13), request=ArchiveRequest(year=2013, depth=DEFAULT_DEPTH))
    done = ArchiveOutcome(item=5, seconds=1.5, rows=7, size=100)
    failed = ArchiveOutcome(item=13, seconds=0.5, error=error)

    back = wire.ended(unit, json.loads(json.dumps(wire.ended_to_json(UnitResult(unit=unit, outcomes=(done, failed))))))

    assert (back.unit, back.error, back.outcomes[0]) == (unit, None, done)
    told = back.outcomes[1].error
    assert (type(told), str(told), told and told.hint) == (kind, str(error), error.hint)


def test_a_unit_that_failed_states_why() -> None:
    unit = Unit(shard="shard_1", tenant_ids=(5,), request=ArchiveRequest(year=2013, depth=DEFAULT_DEPTH))

    back = wire.ended(unit, wire.ended_to_json(UnitResult(unit=unit, error=UsageError("No such shard.", hint="Look."))))

    assert (type(back.error), str(back.error), list(back.outcomes)) == (UsageError, "No such shard.", [])

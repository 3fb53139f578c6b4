"""Archives and the log as a terminal shows them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from archiver.catalog.model import TableName
from archiver.checks.integrity_finding import IntegrityFinding, IntegrityKind
from archiver.records.audit_log import Entry
from archiver.records.retained_rows import RetainedRow
from runbooks import check
from runbooks.cli.text import records


def entry(act: str, details: dict[str, object]) -> Entry:
    moment = datetime(2014, 8, 16, 1, 2, 3, tzinfo=UTC)
    who = {"operator": "ann", "host": "debug", "tenant_id": 13, "year": 2013, "record_id": 7}
    return Entry(id=1, at=moment, act=act, details=details, **who)  # type: ignore[arg-type]


def test_the_log_sums_the_rows_of_all_tables_and_states_what_was_lost() -> None:
    tables = {"master.users": {"inserted": 2, "there": 1}, "shard.attempts": {"inserted": 1000, "there": 0}}
    line = records.log_line("school", entry("restore", {"tables": tables, "lost": {"master.users.nick": 3}}))

    assert line == ("2014-08-16 01:02:03 UTC  ann@debug  restore  school 13 of 2013: tables 1,003 rows, lost 3 rows")


def test_empty_or_unknown_values_are_not_shown() -> None:
    line = records.log_line("school", entry("archive", {"kept": {}, "deleted": {"master.users": 5}, "md5": None}))

    assert line.endswith("school 13 of 2013: deleted 5 rows")


def test_rows_that_stayed_live_are_listed_by_their_keys_and_many_are_cut_short() -> None:
    left = [RetainedRow(table="master.users", key=f"({number})", digest="") for number in range(1, 31)]

    heading, line = records.retained_lines("school", left)

    assert heading.startswith("left live, for another school or by the depth")
    assert line.startswith("  master.users: 1, 2, 3, ")
    assert line.endswith(" 20 and 10 more (--json has all)")
    assert list(records.retained_lines("school", [])) == []


@pytest.mark.parametrize(
    ("refused", "last"), [("", "The archiver refuses none of these rows."), ("why", "; REFUSED: why")]
)
def test_an_integrity_check_ends_with_a_line_that_states_whether_the_archiver_refuses_rows(
    refused: str, last: str
) -> None:
    one = IntegrityFinding(
        kind=IntegrityKind.DANGLING,
        database="master",
        table=TableName("master", "taggings"),
        what="whose school is gone",
        rows=1,
        examples=("48",),
        refused=refused,
    )

    assert list(check.lines([one]))[-1].endswith(last)

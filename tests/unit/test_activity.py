"""Past months, in values: what is due on a day, which rows go together, and what a catalog may say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from archiver.catalog.activity_rules import Rules, mistakes, rules
from archiver.catalog.model import Model, TableName, resolve
from archiver.delete.throttle import Throttle
from archiver.extract.due import Due, due
from archiver.postgres.selection import SelectedRows
from archiver.records.cutoff import MonthName, end_of, month_due, parse_month
from errors import UsageError
from inventory.catalog import Activity
from inventory.load import load_catalog

NEW_YORK = ZoneInfo("America/New_York")
ENROLLMENTS, LESSONS, ATTEMPTS, HINTS = (
    TableName("shard", name) for name in ("enrollments", "lesson_enrollments", "attempts", "hint_views")
)


def model(**changed: Activity) -> Model:
    catalog = load_catalog("catalog.yaml")
    return resolve(replace(catalog, activity={**catalog.activity, **changed}))


RULES = Rules(model=model())


@pytest.mark.parametrize(
    ("day", "month"),
    [
        (date(2014, 11, 1), "2014-09"),
        (date(2014, 11, 30), "2014-09"),
        (date(2014, 2, 28), "2013-12"),
        (date(2014, 1, 1), "2013-11"),
    ],
)
def test_on_any_day_of_a_month_the_month_before_the_last_is_due(day: date, month: str) -> None:
    assert str(month_due(day)) == month


@pytest.mark.parametrize(
    ("month", "moment"),
    [
        (MonthName(2014, 9), datetime(2014, 10, 1, 4, tzinfo=UTC)),
        (MonthName(2013, 12), datetime(2014, 1, 1, 5, tzinfo=UTC)),
        (MonthName(2012, 10), datetime(2012, 11, 1, 4, tzinfo=UTC)),  # clocks go back three days later
    ],
)
def test_a_month_ends_at_midnight_by_the_clocks_of_the_product(month: MonthName, moment: datetime) -> None:
    assert end_of(month, NEW_YORK) == moment


@pytest.mark.parametrize("text", ["", "2014-13", "2014-9", "2014-09-01", "٢٠١٤-09"])
def test_a_month_is_written_with_its_year(text: str) -> None:
    with pytest.raises(UsageError, match="expected a month written YYYY-MM"):
        parse_month(text)


def found(**rows: list[tuple[int, int]]) -> dict[TableName, SelectedRows]:
    """Rows of tables by their id and their parent's."""
    columns = {
        "enrollments": ("id", "classroom_id"),
        "lesson_enrollments": ("id", "enrollment_id"),
        "attempts": ("id", "lesson_enrollment_id"),
        "hint_views": ("id", "attempt_id"),
        "placement_tests": ("id", "enrollment_id"),
        "placement_attempts": ("id", "placement_test_id"),
        "enrollment_activities": ("id", "lesson_enrollment_id"),
        "enrollment_activity_attemptables": ("id", "enrollment_activity_id"),
    }
    return {
        TableName("shard", name): SelectedRows(identity=("id",), columns=pair, rows=rows.get(name, []))
        for name, pair in columns.items()
    }


def going(one: Due) -> Mapping[str, list[tuple[int, int]]]:
    """The ids that go, each with its tree."""
    return {
        table.table: list(zip(rows.identities(), one.trees[table], strict=True))
        for table, rows in one.rows.items()
        if rows.rows
    }


def test_a_row_that_ended_goes_with_all_below_it() -> None:
    rows = found(enrollments=[(1, 9)], lesson_enrollments=[(2, 1)], attempts=[(3, 2), (4, 2)], hint_views=[(5, 3)])
    one = due(RULES, rows, {ENROLLMENTS: {1}, LESSONS: {2}, HINTS: {5}})

    assert going(one) == {
        "enrollments": [(1, 0)],
        "lesson_enrollments": [(2, 0)],
        "attempts": [(3, 0), (4, 0)],
        "hint_views": [(5, 0)],
    }
    assert one.held_back == {}


def test_a_row_stays_while_one_below_it_has_not_ended_and_is_reported() -> None:
    rows = found(
        enrollments=[(1, 9)],
        lesson_enrollments=[(2, 1), (3, 1)],
        attempts=[(4, 2), (5, 3)],
        hint_views=[(6, 4), (7, 5)],
    )
    one = due(RULES, rows, {ENROLLMENTS: {1}, LESSONS: {2, 3}, HINTS: {7}})

    assert going(one) == {"lesson_enrollments": [(3, 0)], "attempts": [(5, 0)], "hint_views": [(7, 0)]}
    assert one.held_back == {"shard.enrollments": 1, "shard.lesson_enrollments": 1}


def test_rows_that_a_table_takes_along_go_only_with_a_row_of_it() -> None:
    rows = found(enrollments=[(1, 9)], attempts=[(4, 2)], placement_tests=[(5, 1)], hint_views=[(6, 4)])
    one = due(RULES, rows, {ENROLLMENTS: set(), LESSONS: set(), HINTS: {6}})

    assert going(one) == {"hint_views": [(6, 0)]}


def test_a_batch_has_whole_trees_and_a_large_one_alone() -> None:
    rows = found(lesson_enrollments=[(n, 0) for n in (1, 2, 3)], attempts=[(n, 2) for n in range(10, 20)])
    one = due(RULES, rows, {ENROLLMENTS: set(), LESSONS: {1, 2, 3}, HINTS: set()})

    assert [{table.table: rows for table, rows in batch.items()} for batch in one.batches(3)] == [
        {"lesson_enrollments": 1},
        {"lesson_enrollments": 1, "attempts": 10},
        {"lesson_enrollments": 1},
    ]


def test_the_products_own_rules_are_valid() -> None:
    assert list(mistakes(RULES.model)) == []
    assert [table.table for table in RULES.ended] == ["hint_views", "lesson_enrollments", "enrollments"]


@pytest.mark.parametrize(
    ("table", "rule", "said"),
    [
        ("lessons", Activity(ended="ended_at"), "activity/lessons: expected a table of databases/shard"),
        (
            "hint_views",
            Activity(ended="created_at", where="seen"),
            "activity/hint_views/where: expected `column = value`",
        ),
        (
            "enrollments",
            Activity(ended="ended_at"),
            r"activity/enrollments/takes: .*\(placement_attempts, placement_tests\)",
        ),
        (
            "hint_views",
            Activity(ended="created_at", takes=("attempts",)),
            r"has no rule of its own \(nothing\), got attempts",
        ),
    ],
)
def test_a_rule_that_cannot_be_applied_is_reported_with_its_path(table: str, rule: Activity, said: str) -> None:
    assert any(re.search(said, told) for told in mistakes(model(**{table: rule})))


def test_without_rules_nothing_goes_month_by_month() -> None:
    with pytest.raises(UsageError, match="has no activity"):
        rules(resolve(replace(load_catalog("catalog.yaml"), activity={})))


def test_a_run_ends_by_its_time_or_on_request() -> None:
    assert not Throttle(seconds=60).over
    assert Throttle(seconds=0).over
    told = Throttle()
    told.stop.set()
    assert told.over

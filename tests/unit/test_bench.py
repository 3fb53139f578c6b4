"""The bench's arithmetic: how large a year is, what a ratio is worth, how a cost grows, what a report says."""

from __future__ import annotations

from fractions import Fraction

import pytest

from bench.exponent import exponent
from bench.goals import GOALS, Target, Verdict
from bench.measured import Measured, failed, middle, scaled, total
from bench.names import Subject
from bench.peers.paths import PATHS
from bench.peers.slice_db import completed
from bench.report import costs, document, judged, number, ratios, remarks
from bench.scaling import figures
from bench.year.size import excluded, largest_school, median_schools, parse_scale, school_id, size_at
from errors import UsageError

TENTH = size_at(Fraction(1, 10))


def test_a_tenth_of_the_year_is_as_large_as_the_measured_prototype() -> None:
    assert (TENTH.schools, TENTH.classrooms, TENTH.students) == (1330, 1377, 34357)
    assert TENTH.big_schools == 1


def test_the_whole_year_has_the_classrooms_of_2013_nearly() -> None:
    whole = size_at(Fraction(1))
    assert (whole.schools, whole.big_schools) == (13_300, 10)
    assert abs(whole.classrooms - 13_771) < 2


def test_the_big_school_is_as_big_from_a_tenth_on_and_shrinks_below() -> None:
    assert TENTH.big_students == size_at(Fraction(1, 2)).big_students == 1307
    assert size_at(Fraction(1, 100)).big_students == 131


@pytest.mark.parametrize("text", ["", "ten", "0", "2/1", "1/0", "1/10000", "-1/10"])
def test_a_scale_is_a_part_of_the_year(text: str) -> None:
    with pytest.raises(UsageError, match="expected a part of the year"):
        parse_scale(text)


def test_one_school_of_twenty_is_excluded_and_none_that_is_measured_alone() -> None:
    left_out = set(excluded(TENTH))
    medians = median_schools(TENTH, 7)

    assert len(left_out) == 66
    assert len(set(medians)) == 7
    assert not left_out & {*medians, largest_school()}
    assert largest_school() not in medians
    assert max(medians) <= school_id(TENTH.schools)


def test_costs_of_several_processes_add_up_but_memory_does_not() -> None:
    one = Measured(seconds=1, cpu=2, server_cpu=3, peak=10, wal=5, figures={"rows": 1})
    two = Measured(seconds=4, cpu=1, server_cpu=1, peak=7, wal=1, note="a word")

    assert total([one, two]) == Measured(
        seconds=5, cpu=3, server_cpu=4, peak=10, wal=6, figures={"rows": 1}, note="a word"
    )
    assert scaled(one, 10, "sampled") == Measured(
        seconds=10, cpu=20, server_cpu=30, peak=10, wal=50, figures={"rows": 1}, note="sampled"
    )


def test_the_middle_of_tries_is_the_median_by_wall_time() -> None:
    assert middle([Measured(seconds=3), Measured(seconds=1), Measured(seconds=2)]).seconds == 2


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (None, Verdict.UNKNOWN),
        (0.7, Verdict.BEYOND),
        (0.8, Verdict.BEYOND),
        (1.25, Verdict.MET),
        (1.26, Verdict.MISSED),
    ],
)
def test_less_is_better(value: float | None, verdict: Verdict) -> None:
    assert Target(goal=1.25, beyond=0.8).verdict(value) is verdict


@pytest.mark.parametrize(("value", "verdict"), [(4, Verdict.BEYOND), (2, Verdict.MET), (1.9, Verdict.MISSED)])
def test_more_is_better_where_a_peer_is_divided_by_us(value: float, verdict: Verdict) -> None:
    assert Target(goal=2, beyond=4, more_is_better=True).verdict(value) is verdict


def test_ratios_are_of_the_subjects_they_name() -> None:
    results = {
        Subject.DUMP: Measured(seconds=10),
        Subject.RESTORE: Measured(seconds=30),
        Subject.YEAR: Measured(
            seconds=50, peak=600 << 20, figures={"reclaim_seconds": 5, "reclaim_wal": 10, "rows": 1}
        ),
        Subject.DELETE: Measured(seconds=100, wal=100),
        Subject.OLD_WAY: Measured(seconds=2000),
        Subject.PACK: Measured(seconds=14, figures={"extract_seconds": 10}),
        Subject.PACK_COLD: Measured(seconds=20, figures={"extract_seconds": 12}),
        Subject.MEDIAN: Measured(seconds=1, figures={"school_seconds": 0.2}),
        Subject.LARGEST: failed("no disk"),
        Subject.SLICE_MEDIAN: Measured(seconds=3),
        Subject.INV_MEDIAN: Measured(seconds=2),
    }
    assert [goal.value(results) for goal in GOALS] == [1.4, 1.25, 0.05, 0.1, 1.2, 0.025, 200, None, 1.5, None, 600]


def test_every_goal_of_the_issue_has_its_limits() -> None:
    limits = [(goal.target.goal, goal.target.beyond) for goal in GOALS]
    assert limits == [
        (1.5, 1.25),
        (1.25, 0.8),
        (0.1, 0.06),
        (0.12, 0.06),
        (1.3, 1.15),
        (1 / 20, 1 / 30),
        (250, 120),
        (4, 3),
        (1.2, 2),
        (2, 4),
        (1024, 512),
    ]


def test_the_exponent_distinguishes_linear_from_quadratic() -> None:
    assert exponent([(1, 3), (10, 30), (100, 300)]) == pytest.approx(1)
    assert exponent([(1, 2), (3, 18)]) == pytest.approx(2)


def test_scaling_requires_two_runs_that_have_figures() -> None:
    small = Measured(seconds=10, peak=100, figures={"rows": 1000})
    large = Measured(seconds=100, peak=110, figures={"rows": 10_000})

    slope, memory = figures([small, failed("no"), large])

    assert slope == pytest.approx(1)
    assert memory == pytest.approx(1.1)
    assert figures([small]) == (None, None)


def test_a_missed_goal_is_reported_as_missed_and_a_figure_of_another_scale_as_such() -> None:
    rows = judged(
        [
            ("slow", 2.0, Target(goal=1, beyond=0.5)),
            ("the largest school", 2.0, Target(goal=4, beyond=3, unit="s", scale="1/10")),
            ("nothing", None, Target(goal=1, beyond=0.5, more_is_better=True)),
        ],
        "1/100",
    ).rows
    assert [list(row) for row in rows] == [
        ["slow", "2", "≤ 1", "≤ 0.5", "missed"],
        ["the largest school", "2 s", "≤ 4 s", "≤ 3 s", "counts at 1/10"],
        ["nothing", "-", "≥ 1", "≥ 0.5", "not measured"],
    ]


def test_a_report_is_markdown_with_where_it_was_measured() -> None:
    results = {Subject.DUMP: Measured(seconds=1.234, cpu=2, server_cpu=3, peak=5 << 20, wal=1 << 20, note="by|hand")}
    text = document("A run", {"commit": "abc"}, [costs(results)], remarks(results.items()))

    assert text == (
        "# A run\n\n- commit: abc\n\n## Costs\n\n"
        "| subject | wall s | client CPU s | server CPU s | peak MiB | WAL MiB |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: |\n"
        "| pg_dump -Fd -j2 -Z gzip:1 | 1.23 | 2 | 3 | 5 | 1 |\n\n"
        "- pg_dump -Fd -j2 -Z gzip:1: by|hand\n"
    )


def test_a_subject_without_figures_states_why() -> None:
    results = {Subject.DUMP: failed("no disk")}
    assert list(costs(results).rows[0][1:]) == ["-"] * 5
    assert remarks(results.items()) == [f"{Subject.DUMP}: not measured: no disk"]
    assert ratios(results, "1/10").rows[0][-1] == "not measured"


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1234"), (0.03333, "0.0333"), (12.34, "12.3"), (2.0, "2")])
def test_three_digits_count(value: float, text: str) -> None:
    assert number(value) == text


def test_peers_find_a_schools_rows_by_joins_up_to_the_enrollment() -> None:
    assert PATHS["enrollments"].of_student(7) == "SELECT t.* FROM enrollments t WHERE t.student_id = 7"
    assert PATHS["attempts"].of_classrooms("1, 2") == (
        "SELECT t.* FROM attempts t JOIN lesson_enrollments p0 ON p0.id = t.lesson_enrollment_id"
        " JOIN enrollments p1 ON p1.id = p0.enrollment_id WHERE p1.classroom_id IN (1, 2)"
    )


def test_slice_db_is_given_the_edges_that_have_no_foreign_key() -> None:
    references = completed({"tables": {}, "references": {"other": {}}})["references"]
    assert len(references) == len(PATHS) - 1
    assert references["public.hint_views.attempt_id"] == {
        "columns": ["attempt_id"],
        "directions": ["reverse"],
        "referenceColumns": ["id"],
        "referenceTable": "public.attempts",
        "table": "public.hint_views",
    }

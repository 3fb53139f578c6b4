"""The figures of a night: asked about once before it begins, shown at the point of no return, compared, journaled."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, time, timedelta
from pathlib import Path

import pytest

from archiver.estimate.night_figures import figures_of, left_out
from archiver.estimate.sizes import TenantSize
from archiver.postgres.tenants import Tenant
from errors import AbortedError, RefusedError
from inventory.figures import Figures, LeftOut, Share, Written
from inventory.model import Exclusion
from runbooks.archives.scope import oldest_backup
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import read_history
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.ports import Choice
from runbooks.engine.reporting.estimates import EarlierNight, counted, last_time
from runbooks.engine.reporting.figures_text import Amounts, compared, figure_lines
from runbooks.engine.reporting.plan_markdown import rendered
from runbooks.night import summary
from tests.fakes import EVENING, FIGURES, NIGHT, FakeNight, night_plan
from tests.operated_night import OperatedNight, operated_night

GROWN = replace(
    FIGURES,
    tenants=36,
    rows=12_400,
    shards=(*FIGURES.shards[:1], replace(FIGURES.shards[1], tenants=16, rows=4_400)),
    customers=(*FIGURES.customers, Share(name="Late (9)", tenants=1, rows=55, bytes=9)),
)


@pytest.fixture
def operated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> OperatedNight:
    return operated_night(monkeypatch, tmp_path)


def ended(figures: Figures) -> tuple[Event, ...]:
    """The events of a night that began with these figures and is done."""
    fake_night = FakeNight()
    fake_night.context.begin(figures=figures)
    fake_night.journal.append(Kind.ENDED)
    return fake_night.journal.events


def failed(why: str) -> ProbeOutput:
    return ProbeOutput(code=10, error=why)


def done_at(operated: OperatedNight, hours: int = 0) -> str:
    """The time of day at which a night is done that begins so long after the evening, by its steps' estimates."""
    steps = counted(operated.fake_night.plan, FIGURES).steps
    left = sum((step.estimate or timedelta() for step in steps), timedelta(hours=hours))
    return f"{(EVENING + left).astimezone(operated.environment.zone):%H:%M}"


def school(number: int, shard: str = "shard_1", customer: int | None = 7) -> Tenant:
    name = {7: "Northfield", 99: "Boston"}.get(customer or 0)
    return Tenant(id=number, name=f"School {number}", shard=shard, customer_id=customer, customer_name=name)


def test_sizes_are_summed_up_by_shard_and_customer_and_the_five_biggest_are_named() -> None:
    tenants = [school(number, f"shard_{number % 2}", None if number == 6 else 7) for number in range(1, 8)]
    sizes = [
        TenantSize(tenant=tenant, rows=number * 10.4, bytes=number) for number, tenant in enumerate(tenants, start=1)
    ]

    figures = figures_of(sizes, "school", (), 60.0, 3, EVENING)

    assert (figures.tenants, figures.archived, figures.rows, figures.bytes) == (10, 3, 291, 28)
    assert figures.shards == (
        Share(name="shard_0", tenants=3, rows=125, bytes=12),
        Share(name="shard_1", tenants=4, rows=166, bytes=16),
    )
    assert figures.customers == (Share(name="Northfield (7)", tenants=6, rows=229, bytes=22),)
    assert [share.name for share in figures.biggest] == [f"School {number} ({number})" for number in (7, 6, 5, 4, 3)]


def test_what_is_left_out_is_named_with_its_reason() -> None:
    every = [school(21), school(22), school(23, customer=99), school(24, customer=99)]
    exclude = Exclusion(schools=(21, 500), customers=(99, 98), reasons={"school 21": "summer school"})

    assert left_out("school", every, exclude) == (
        LeftOut(name="School 21 (21)", tenants=1, reason="summer school"),
        LeftOut(name="Boston (99)", tenants=2, reason=""),
    )


def test_figures_cross_from_host_to_host_as_json_and_a_newer_version_may_add_to_them() -> None:
    written = Written(since=EVENING, seen=True, tenants=1, rows=2, timeless=("master.taggings",))
    for figures in (FIGURES, replace(FIGURES, written=written)):
        plain = json.loads(json.dumps(figures.to_json()))
        assert Figures.from_json({**plain, "of tomorrow": 1}) == figures


def test_a_backup_that_may_be_old_says_what_was_written_since() -> None:
    written = Written(since=EVENING, seen=False, tenants=87, rows=12_345, timeless=())

    assert figure_lines(replace(FIGURES, written=written), UTC)[-1] == (
        "A backup may be as old as Fri 2014-08-15 21:00: "
        "12,345 rows of 87 schools were written since, and could be lost."
    )
    timeless = replace(written, seen=True, rows=1, tenants=1, timeless=("master.taggings",))
    assert figure_lines(replace(FIGURES, written=timeless), UTC)[-1] == (
        "The oldest backup is of Fri 2014-08-15 21:00: 1 row of 1 school was written since "
        "(not counting 1 table without a time column), and could be lost."
    )


def test_the_oldest_backup_of_a_night_is_known_once_all_are_proved() -> None:
    fake_night = FakeNight()
    fake_night.person.script["perform backups.dump db-shard-3"] = [Choice.ABORT]
    with pytest.raises(AbortedError):
        fake_night.run()
    assert oldest_backup(fake_night.context.history()) is None

    fake_night.run()
    assert oldest_backup(fake_night.context.history()) == min(fake_night.production.backup.values())


def test_the_figures_are_said_in_these_lines() -> None:
    boston = LeftOut(name="Boston (99)", tenants=2, reason="contract, OPS-412")
    figures = replace(FIGURES, archived=5, left_out=(*FIGURES.left_out, boston))

    assert figure_lines(figures, UTC) == (
        "35 schools of 2 customers, 5 of them archived already: about 12,345 rows, 8.9 MB; counted Fri 21:00.",
        "Customers: Northfield ISD (7) with 23 schools, 9,000 rows, 6.0 MB; "
        "Newtown (3) with 12 schools, 3,345 rows, 2.9 MB.",
        "Shards: shard_1 with 20 schools, 8,000 rows, 5.9 MB; shard_2 with 15 schools, 4,345 rows, 3.0 MB.",
        "Biggest: Lincoln Middle (13) with 1,204 rows, 800 kB.",
        "Archiving takes about 12 min.",
        "Left out: Summer School (21), no reason given; Boston (99) with 2 schools, contract, OPS-412.",
    )


def test_both_numbers_are_shown_where_they_changed_since_the_start() -> None:
    lines = "\n".join(figure_lines(GROWN, UTC, FIGURES))

    assert "36 schools (35 schools at the start) of 3 customers (2 customers at the start)" in lines
    assert "about 12,400 rows (12,345 rows at the start), 8.9 MB; counted Fri 21:00." in lines
    assert "shard_1 with 20 schools, 8,000 rows, 5.9 MB;" in lines
    assert "shard_2 with 16 schools, 4,400 rows, 3.0 MB (15 schools, 4,345 rows, 3.0 MB at the start)" in lines
    assert "Customers that were added since the start: Late (9)." in lines
    assert "Customers that were removed since the start: Late (9)." in "\n".join(figure_lines(FIGURES, UTC, GROWN))
    assert "start" not in "\n".join(figure_lines(GROWN, UTC, GROWN))


@pytest.mark.parametrize(
    ("earlier", "off"),
    [
        (Amounts(tenants=40, rows=13_000, bytes=8_000_000), []),
        (Amounts(tenants=42, rows=12_345, bytes=None), []),
        (Amounts(tenants=44, rows=10_000, bytes=20_000_000), ["20% fewer schools", "23% more rows", "56% fewer bytes"]),
    ],
)
def test_more_than_a_fifth_off_an_earlier_night_is_told(earlier: Amounts, off: list[str]) -> None:
    told = compared(FIGURES, earlier, "2013-08-16")

    assert told[1:] == tuple(f"! {line} than in the night of 2013-08-16." for line in off)


def test_a_night_asks_once_before_its_first_act_and_journals_what_was_shown(operated: OperatedNight) -> None:
    operated.run()

    first, *others = operated.fake_night.person.asked
    assert first.splitlines() == [
        "The night of Fri 2014-08-15, which is today; it is 17:00.",
        *figure_lines(FIGURES, operated.environment.zone),
        "There are no figures of an earlier night to compare these with.",
        f"The night is done about {done_at(operated)}, and has no window.",
        "Begin the night of 2014-08-15?",
    ]
    assert not [question for question in others if "Begin" in question]
    began = operated.events[0]
    assert began.data["statements"] == first.splitlines()[:-1]
    assert read_history(operated.events).figures == FIGURES
    [word] = [event for event in operated.events if event.data.get("confirmed")]
    assert "at the start" not in "\n".join(word.data["statements"])
    assert figure_lines(FIGURES, operated.environment.zone)[0] in word.data["statements"]


def test_without_a_yes_nothing_is_begun(operated: OperatedNight) -> None:
    operated.fake_night.person.confirms = False
    with pytest.raises(AbortedError, match="before the first step; nothing was done"):
        operated.run()

    assert (operated.events, operated.fake_night.production.acts) == ((), [])


def test_the_date_of_another_day_the_end_of_the_window_and_an_odd_figure_are_asked_about(
    operated: OperatedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    night = replace(operated.environment.night(NIGHT), ends=time(19, 0))
    operated.environment = replace(operated.environment, nights={NIGHT: night})
    operated.fake_night.plan = night_plan(operated.environment)
    operated.fake_night.production.figures = replace(FIGURES, tenants=20)
    operated.fake_night.clock.wait(timedelta(hours=20))
    last = EarlierNight(name="2013-08-16", events=ended(FIGURES))
    monkeypatch.setattr("runbooks.night.run.earlier_nights", lambda *asked: [last])
    operated.fake_night.person.confirms = False
    with pytest.raises(AbortedError):
        operated.run()

    asked = operated.fake_night.person.asked[0]
    assert "! The night of Fri 2014-08-15, which is not today: it is Sat 2014-08-16, 13:00." in asked
    assert "The night of 2013-08-16 had 35 schools, 12,345 rows, 8.9 MB.\n! 43% fewer schools than" in asked
    done = done_at(operated, hours=20)
    assert f"! By the estimates the night is done at {done}, after its window closes at 19:00." in asked
    assert asked.endswith("\nBegin the night of 2014-08-15 all the same?")


def test_the_point_of_no_return_shows_both_figures_and_so_does_the_approval(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    operated = operated_night(monkeypatch, tmp_path)
    production = operated.fake_night.production
    operated.run_until("db-shard-4: backup transfer", lambda: failed("no space"))
    production.figures = GROWN
    operated.resume()

    [word] = [event for event in operated.events if event.data.get("confirmed")]
    shown = "\n".join(word.data["statements"])
    assert "36 schools (35 schools at the start)" in shown
    assert "12,400 rows (12,345 rows at the start)" in shown


def test_status_and_report_show_the_figures_of_the_start(operated: OperatedNight) -> None:
    operated.run()
    lines = list(summary.figures(operated.fake_night.plan, read_history(operated.events)))

    assert lines[: len(figure_lines(FIGURES, UTC))] == list(figure_lines(FIGURES, operated.environment.zone))


def test_a_debug_host_that_cannot_count_stops_the_night_before_step_1(operated: OperatedNight) -> None:
    command = "inv archive.scope --env=rehearsal --date=2014-08-15 --count --json"
    why = "Estimating refused: PostgreSQL has no statistics of shard_2.hint_views."
    error = operated.run_until(f"debug: {command}", lambda: failed(why))

    assert isinstance(error, RefusedError)
    assert why in str(error)
    assert operated.events == ()


def test_the_plan_shows_the_figures_and_every_customer_by_name() -> None:
    shown = rendered(night_plan(), FIGURES)

    assert "- 35 schools of 2 customers: about 12,345 rows, 8.9 MB; counted Fri 17:00.\n" in shown
    assert "| Northfield ISD (7) | 23 | 9,000 | 6.0 MB |\n| Newtown (3) | 12 | 3,345 | 2.9 MB |\n" in shown
    assert "## Figures" not in rendered(night_plan())


def test_a_lab_is_no_night_to_compare_production_with() -> None:
    own, lab = (EarlierNight(name="n", events=ended(FIGURES), rehearsal=rehearsed) for rehearsed in (False, True))

    assert last_time([own]).amounts == Amounts(tenants=35, rows=12_345, bytes=8_900_000)
    assert last_time([lab]).amounts is None


def test_a_night_from_before_there_were_figures_is_compared_by_what_it_archived() -> None:
    fake_night = FakeNight()
    fake_night.run()

    last = last_time([EarlierNight(name="n", events=fake_night.journal.events)])
    assert last.amounts == Amounts(tenants=35, rows=12_345, bytes=None)

"""Durations of earlier nights, and the clock of this one: elapsed, done about, window, the last moment to turn back."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest

from runbooks.engine.live.console import Console
from runbooks.engine.model.forecast import Forecast, forecast
from runbooks.engine.model.journal import Event, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.plan import Plan
from runbooks.engine.model.ports import Choice
from runbooks.engine.model.work_intervals import work_intervals, worked
from runbooks.engine.reporting.estimates import EarlierNight, estimated, last_time, times
from tests.fakes import EVENING, NIGHT, FakeClock, FakeNight, Killed, night_plan, rehearsal

Story = Sequence[tuple[int, Kind, str, str]]  # minute, kind, host, outcome


def told(story: Story, step: str = "vacuum.full") -> tuple[Event, ...]:
    """Events of one step, as a journal has them."""
    data = {Kind.BEGAN: {"run": "r", "digest": "d"}, Kind.RESUMED: {"digest": "d"}}
    return tuple(
        Event(
            number=number,
            at=EVENING + timedelta(minutes=minute),
            kind=kind,
            operator="ann@here",
            step=step if host else "",
            host=host,
            data=data.get(kind, {"outcome": outcome, "proof": "", "what": ""}),
        )
        for number, (minute, kind, host, outcome) in enumerate(story, start=1)
    )


def night_of(minutes: int, **options: bool) -> EarlierNight:
    """An earlier night whose vacuum took so long."""
    story = [(0, Kind.BEGAN, "", ""), (10, Kind.INTENT, "a", ""), (10 + minutes, Kind.RESULT, "a", "done")]
    return EarlierNight(name=f"2013-08-{minutes}", events=told([*story, (99, Kind.ENDED, "", "")]), **options)


def windowed(ends: time = time(6, 0)) -> Plan:
    """Return a night with a window, shown in New York, where it begins at 17:00."""
    environment = rehearsal()
    night = replace(environment.night(NIGHT), ends=ends)
    return night_plan(replace(environment, timezone="America/New_York", nights={NIGHT: night}))


def test_hosts_at_work_together_count_once_and_pauses_not_at_all() -> None:
    events = told(
        [
            (0, Kind.BEGAN, "", ""),
            (1, Kind.INTENT, "a", ""),
            (3, Kind.INTENT, "b", ""),
            (5, Kind.RESULT, "a", "done"),
            (9, Kind.RESULT, "b", "failed"),
            (9, Kind.STOPPED, "", ""),
            (50, Kind.RESUMED, "", ""),
            (50, Kind.INTENT, "b", ""),
            (52, Kind.RESULT, "b", "done"),
        ]
    )

    assert worked(work_intervals(events), "vacuum.full", EVENING) == timedelta(minutes=8 + 2)
    assert times(events) == {"vacuum.full": timedelta(minutes=10)}


def test_an_act_not_followed_to_its_end_is_unknown_and_ends_with_its_runner() -> None:
    events = told(
        [(0, Kind.BEGAN, "", ""), (1, Kind.INTENT, "a", ""), (4, Kind.ANSWER, "", ""), (60, Kind.RESUMED, "", "")]
    )

    [stretch] = work_intervals(events)
    assert (stretch.outcome, stretch.ended) == (Outcome.UNKNOWN, EVENING + timedelta(minutes=4))
    assert times(events) == {}


def test_a_step_that_was_skipped_or_already_done_gives_no_duration() -> None:
    fake_night = FakeNight()
    fake_night.production.watcher = False
    fake_night.person.script["perform backups.disable db-shard-1"] = [Choice.SKIP]
    fake_night.run()

    assert {step.key for step in fake_night.plan.steps} - set(times(fake_night.journal.events)) == {
        "watcher.stop",
        "backups.disable",
    }


@pytest.mark.parametrize(
    ("nights", "minutes", "basis"),
    [
        ([], 30, "as planned"),
        ([night_of(12)], 12, "as in the night of 2013-08-12"),
        ([night_of(12), night_of(80), night_of(20)], 20, "median of 3 nights"),
        ([night_of(12, rehearsal=True)], 30, "as planned"),  # a lab's databases are small
        ([night_of(40, rehearsal=True), night_of(50, rehearsal=True)], 45, "median of 2 rehearsals"),
    ],
)
def test_an_estimate_is_the_median_of_earlier_nights_and_is_labeled_so(
    nights: list[EarlierNight], minutes: int, basis: str
) -> None:
    plan = night_plan()
    step = estimated(plan, nights).step("vacuum.full")

    assert (step.estimate, step.basis) == (timedelta(minutes=minutes), basis)
    assert estimated(plan, nights).digest == plan.digest


def test_last_time_is_the_newest_night_that_came_to_its_end() -> None:
    broken_off = EarlierNight(name="2013-08-30", events=night_of(30).events[:-1])

    assert last_time([night_of(12), night_of(20), broken_off]).name == "2013-08-20"
    assert last_time([night_of(12), night_of(20)]).times == {"vacuum.full": timedelta(minutes=20)}
    assert last_time([broken_off]).times == {}


def test_the_clock_is_shown_after_every_step_and_turning_back_only_before_the_point_of_no_return() -> None:
    fake_night = FakeNight(plan=windowed(), clock=FakeClock(pace=60))
    fake_night.run()

    clocks = dict(zip(fake_night.screen.begun, fake_night.screen.clocks, strict=True))
    end = datetime(2014, 8, 16, 10, tzinfo=UTC)
    way_back = {  # what has been switched off by then is switched on by steps that take so long
        "maintenance.on": timedelta(minutes=2),
        "watcher.stop": timedelta(minutes=2 + 2),
        "warehouse.stop-etl": timedelta(hours=2, minutes=2 + 2),
        "backups.disable": timedelta(hours=2, minutes=2 + 2 + 10),
        "replicas.terminate": timedelta(hours=3, minutes=2 + 2 + 10),
    }
    for key, minutes in way_back.items():
        assert clocks[key].turn_back_by == end - minutes, key
    assert {clock.window_end for clock in clocks.values()} == {end}
    keys = fake_night.screen.begun
    assert all(clocks[key].turn_back_by is None for key in keys[keys.index("archiving.run") :])
    lefts = [clock.left for clock in fake_night.screen.clocks]
    assert lefts == sorted(lefts, reverse=True)
    assert lefts[-1] == timedelta()


def test_time_that_a_running_step_has_used_is_not_counted_as_left() -> None:
    events = told([(0, Kind.BEGAN, "", ""), (0, Kind.INTENT, "db-master", "")])
    plan = night_plan()
    before, later, much_later = (
        forecast(plan, events, EVENING + timedelta(minutes=minutes)) for minutes in (0, 20, 300)
    )

    assert before and later and much_later
    assert before.left - later.left == timedelta(minutes=20)
    assert before.left - much_later.left == timedelta(minutes=30)  # as planned, and no more


def shown(seen: Forecast | None) -> list[str]:
    """Return the operator's view of it."""
    paper = io.StringIO()
    Console(clock=FakeClock(), file=paper).clock(seen)
    return [line.strip() for line in paper.getvalue().splitlines()]


def test_the_operator_sees_times_of_the_zone_and_is_warned_when_the_window_is_too_short() -> None:
    fake_night = FakeNight(plan=windowed(), clock=FakeClock(pace=60))
    fake_night.screen.at_step = lambda key: _die_at(key, "backups.dump")
    with pytest.raises(Killed):
        fake_night.run()
    events, now = fake_night.journal.events, fake_night.clock.now()

    assert shown(forecast(fake_night.plan, events, now)) == [
        "8:00 elapsed · done about 00:17 · window ends 06:00 · turn back by 03:46"
    ]
    assert shown(forecast(windowed(time(20, 0)), events, now)) == [
        "8:00 elapsed · done about 00:17 · window ends 20:00 · turn back by 17:46",
        "! By the estimates the night is done at 00:17, after its window closes at 20:00.",
    ]
    assert shown(forecast(windowed(time(20, 0)), events, now + timedelta(hours=1)))[-1] == (
        "! Turning back no longer fits into the window, by the estimates."
    )
    assert (
        shown(forecast(windowed(time(20, 0)), events, now + timedelta(hours=5)))[1] == "! The window closed at 20:00."
    )
    assert shown(forecast(fake_night.plan, (), now)) == []


def _die_at(key: str, last: str) -> None:
    if key == last:
        raise Killed

"""A question that waits is seen by status, page and a second machine: who is waited for, for what, since when."""

from __future__ import annotations

import pytest

from runbooks.engine.model.journal import Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.waiting import waiting
from runbooks.engine.reporting.event_text import waits
from runbooks.engine.reporting.notifications import NoNotifier
from runbooks.engine.run.asking import AskedPerson
from runbooks.night.report.html import page
from runbooks.night.report.markdown import markdown_report
from runbooks.night.report.model import account
from tests.fakes import FakeNight


def asked_night() -> FakeNight:
    fake_night = FakeNight()
    asked = AskedPerson(fake_night.person, fake_night.plan, fake_night.journal, NoNotifier(), "chris@laptop")
    fake_night.person = asked  # type: ignore[assignment]  # as the context takes it
    return fake_night


def test_each_question_is_journaled_before_it_is_asked_and_over_when_it_is_answered() -> None:
    fake_night = asked_night()
    fake_night.run()
    events = fake_night.journal.events
    questions = [event for event in events if event.kind is Kind.QUESTION]

    by_hand = {(event.step, event.host) for event in questions if event.data["what"] == "to do it by hand"}
    assert by_hand == {
        (step.key, task.host) for step in fake_night.plan.steps for task in step.tasks if not task.action
    }
    assert [event.data["what"] for event in questions if event.step == "archiving.run"] == [
        "to type 2014-08-15: the point of no return"
    ]
    for event in questions:
        seen = waiting(events[: event.number])
        assert seen is not None
        assert (seen.step, seen.host, seen.who, seen.since) == (event.step, event.host, "chris@laptop", event.at)
        assert waiting(events[: event.number + 1]) is None


def test_a_decision_without_a_terminal_is_no_question() -> None:
    fake_night = FakeNight()
    fake_night.person.present = False
    step = fake_night.plan.steps[1]
    asked = AskedPerson(fake_night.person, fake_night.plan, fake_night.journal, NoNotifier(), "chris@laptop")

    assert asked.choose(step, step.tasks[0], Outcome.FAILED, "it runs") is None
    assert fake_night.journal.events == ()


@pytest.mark.parametrize("at_work", [True, False])
def test_the_page_and_the_status_say_who_is_waited_for_while_a_run_is_at_work(at_work: bool) -> None:
    fake_night = asked_night()
    fake_night.run()
    events = fake_night.journal.events
    number = next(event.number for event in events if event.kind is Kind.QUESTION)
    said = waits(fake_night.plan, events[:number])
    seen = account(fake_night.plan, events[:number], events[number - 1].at, at_work=at_work)

    assert said.endswith("it waits for chris@laptop to do it by hand (step 2, Kill System Watcher, watcher)")
    assert (said in page(seen), said in markdown_report(seen)) == (at_work, at_work)
    assert seen.state == ("waiting" if at_work else "not running")

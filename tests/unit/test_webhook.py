"""Operators away from the terminal are notified; a webhook that is slow, broken or gone changes nothing."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pytest

from inventory.model import Environment, WebAddress
from runbooks.engine.live import background
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.ports import Choice
from runbooks.engine.reporting.notifications import Announcer
from runbooks.engine.run.asking import AskedPerson
from runbooks.engine.run.runner import StepFailed
from runbooks.night import webhook
from tests.colleagues import approving
from tests.fakes import SERVERS, FakeNight, archive_command, rehearsal
from tests.webhooks import Inbox, serving


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    with serving() as inbox:
        yield inbox


def hooked(url: str) -> Environment:
    return replace(rehearsal(), webhook=WebAddress(url=url))


def announced(fake_night: FakeNight, environment: Environment, warnings: list[str]) -> None:
    """Run the night as it is conducted, with the environment's webhook."""
    with webhook.notifier_of(environment, "2014-08-15", warnings.append) as notifier:
        fake_night.journal.listen(Announcer(fake_night.plan, fake_night.journal, notifier).on_event)
        asked = AskedPerson(fake_night.person, fake_night.plan, fake_night.journal, notifier, "tester@here")
        fake_night.person = asked  # type: ignore[assignment]  # as the context takes it
        fake_night.run()


def test_start_waiting_failure_point_of_no_return_and_end_are_posted(inbox: Inbox) -> None:
    fake_night, warnings = FakeNight(), list[str]()
    fake_night.person.script["choose watcher.stop watcher"] = [Choice.BY_HAND]
    fake_night.production.broken["watcher: system-watcher stop"] = ProbeOutput
    fake_night.person.script["perform watcher.stop watcher"] = [Choice.DONE, Choice.SKIP]
    announced(fake_night, hooked(inbox.url), warnings)

    assert warnings == []
    told = [(news["event"], news["step"]) for news in inbox.news]
    assert told[:4] == [
        ("began", ""),
        ("waiting", "watcher.stop"),  # to do it by hand
        ("failed", "watcher.stop"),
        ("waiting", "watcher.stop"),  # to decide about it
    ]
    assert told[-1] == ("ended", "")
    assert Counter(event for event, _ in told)["point of no return"] == 1
    assert told.index(("waiting", "archiving.run")) + 1 == told.index(("point of no return", "archiving.run"))
    assert told.count(("waiting", "backups.dump")) == 1  # not for each of five hosts
    assert inbox.news[1]["text"] == (
        "Cutover of 2014-08-15 in rehearsal: step 2, Kill System Watcher, watcher: "
        "waits for tester@here to do it by hand (tester@here)"
    )
    assert inbox.news[2] == {
        "text": "Cutover of 2014-08-15 in rehearsal: step 2, Kill System Watcher, watcher: failed, "
        "System Watcher is running, expected stopped (tester@here)",
        "event": "failed",
        "night": "2014-08-15",
        "environment": "rehearsal",
        "step": "watcher.stop",
    }


def test_a_stop_is_posted_with_its_reason_and_a_passed_point_is_not_posted_again(inbox: Inbox) -> None:
    fake_night, warnings = FakeNight(), list[str]()
    command = f"debug: {archive_command()}"
    fake_night.production.broken[command] = lambda: ProbeOutput(code=10, error="school 7 failed")
    with pytest.raises(StepFailed):
        announced(fake_night, hooked(inbox.url), warnings)
    fake_night.production.broken.clear()
    fake_night.journal = fake_night.journal.next_life(fake_night.clock)
    announced(fake_night, hooked(inbox.url), warnings)

    told = [news["event"] for news in inbox.news if news["event"] != "waiting"]
    assert told == ["began", "point of no return", "failed", "stopped", "resumed", "ended"]
    stopped = next(news["text"] for news in inbox.news if news["event"] == "stopped")
    assert "debug: failed: on debug, detached: inv archive.all" in stopped


def test_a_webhook_that_hangs_or_is_down_or_refuses_delays_nothing_and_is_reported_once(
    inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "PATIENCE", 0.2)
    monkeypatch.setattr(background, "DRAIN_SECONDS", 1.0)
    with serving() as gone:
        pass
    for url, badly in ((inbox.url, {"hangs": True}), (gone.url, {}), (inbox.url, {"hangs": False, "status": 503})):
        for name, value in badly.items():
            setattr(inbox, name, value)
        fake_night, warnings = FakeNight(), list[str]()
        announced(fake_night, hooked(url), warnings)

        assert set(fake_night.outcomes().values()) == {"done"}
        assert len(fake_night.outcomes()) == 9 + 8 * len(SERVERS)
        [warning] = warnings
        assert "Posting to the webhook at 127.0.0.1 failed" in warning
        assert "s3cr3t" not in warning


def test_a_second_person_is_called_when_the_date_is_typed(inbox: Inbox) -> None:
    fake_night = FakeNight()
    plan = replace(fake_night.plan, approve="inv cutover.approve --date=2014-08-15")
    with webhook.notifier_of(hooked(inbox.url), "2014-08-15", pytest.fail) as notifier:
        fake_night.journal.listen(Announcer(plan, fake_night.journal, notifier).on_event)
        fake_night.plan = plan
        approving(fake_night)
        fake_night.run()

    [news] = [news for news in inbox.news if news["event"] == "waiting"]
    assert news["step"] == "archiving.run"
    assert "waits for a second person (not tester@here) to approve it: inv cutover.approve --date=2" in news["text"]


def test_a_night_never_waits_for_background_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "DRAIN_SECONDS", 0.01)
    goes_on, begun, all_done, done = threading.Event(), threading.Event(), threading.Event(), list[int]()

    def work(items: Sequence[int]) -> None:
        begun.set()
        goes_on.wait(10)
        done.extend(items)
        if 3 in items:
            all_done.set()

    with background.in_background(work) as take:
        take(1)
        assert begun.wait(10)
        take(2)
        take(3)
    assert done == []
    goes_on.set()
    assert all_done.wait(10)
    assert done == [1, 2, 3]


def test_a_url_that_is_a_secret_comes_from_the_environment(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = replace(rehearsal(), webhook=WebAddress(variable="CUTOVER_WEBHOOK"))
    warnings: list[str] = []
    announced(FakeNight(), environment, warnings)
    assert warnings == ["This night's news is not posted: CUTOVER_WEBHOOK is not set."]

    monkeypatch.setenv("CUTOVER_WEBHOOK", inbox.url)
    announced(FakeNight(), environment, warnings)
    assert len(warnings) == 1
    assert inbox.news[-1]["event"] == "ended"


@pytest.mark.parametrize("url", ["file:///etc/hostname", "hooks.example.com/s3cr3t", "http://hooks example/s3cr3t", ""])
def test_a_variable_that_holds_no_web_address_is_warned_of_once(url: str) -> None:
    warnings = list[str]()
    assert not webhook.Webhook(url, warnings.append).arrives({"text": "the night begins"})
    [warning] = warnings
    assert warning.startswith("Posting to the webhook")
    assert "s3cr3t" not in warning


@pytest.mark.parametrize("status", [401, 503])
def test_a_status_is_named_in_the_warning_of_a_heartbeat(inbox: Inbox, status: int) -> None:
    inbox.status, warnings = status, list[str]()
    assert not webhook.Webhook(inbox.url, warnings.append, "heartbeat").arrives({"text": "at work"})
    assert f"failed (status {status})" in warnings[0]

"""Colleagues who approve a night in memory whenever it waits for a second person."""

from __future__ import annotations

from datetime import timedelta

from runbooks.engine.live.approval import PAUSE, put_approval, requested
from tests.fakes import FakeClock, FakeNight


def approving(fake_night: FakeNight) -> list[str]:
    """Have another colleague approve whenever the night waits for one; return those who have."""
    heard: list[str] = []

    def colleagues(pause: timedelta) -> None:
        FakeClock.wait(fake_night.clock, pause)
        request = requested(fake_night.journal.events)
        if pause == PAUSE and request:
            heard.append(f"colleague{len(heard) + 1}@desk")
            put_approval(fake_night.object_store, request, heard[-1])
        if len(heard) > 9:
            raise RuntimeError("the night waits although colleagues approve")

    fake_night.clock.wait = colleagues  # type: ignore[method-assign]
    return heard


def times_typed(fake_night: FakeNight) -> int:
    """Return the number of times that the date was typed."""
    return sum(bool(event.data.get("confirmed")) for event in fake_night.journal.events)

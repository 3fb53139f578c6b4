"""--until: the next time that a clock in the environment shows it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from errors import UsageError
from inventory.load import FOLDER, load_file
from runbooks.archives.of_night import next_moment
from runbooks.cli.parse import parse_clock

REHEARSAL = load_file(FOLDER / "rehearsal.yaml")


@pytest.mark.parametrize("minutes", [-1, 1])
def test_until_means_the_next_time_that_the_clock_shows(minutes: int) -> None:
    now = datetime.now(REHEARSAL.zone)
    wanted = (now + timedelta(minutes=minutes)).strftime("%H:%M")

    until = next_moment(REHEARSAL, parse_clock(wanted, "--until"))

    assert until.strftime("%H:%M") == wanted
    assert timedelta() < until - now <= timedelta(days=1)


@pytest.mark.parametrize("text", ["6", "25:00", "tomorrow", "06:00:00"])
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--until: expected a time"):
        parse_clock(text, "--until")

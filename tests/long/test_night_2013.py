"""The checklist of 2013 on a lab: stopped in the middle, resumed, and the live system after it."""

from __future__ import annotations

import json
from contextlib import closing

import psycopg2
import pytest

from errors import CutoverError
from rehearsal import layout
from rehearsal.lab import FEWEST_SCHOOLS
from rehearsal.layout import Layout
from runbooks import cutover
from runbooks.engine.model.debts import owed
from runbooks.engine.model.history import read_history
from runbooks.engine.model.outcome import Outcome
from runbooks.night import files
from runbooks.night.rehearsal import rehearsed
from tests import labs
from tests.fakes import NIGHT_2013


def test_a_night_that_was_stopped_does_all_twelve_steps_and_the_live_system_is_as_it_should_be(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with labs.started(FEWEST_SCHOOLS) as lab:
        monkeypatch.setenv(layout.VARIABLE, str(lab.home))
        assert lab.say("warehouse-old", "ttmscalr size -f warehouse-old") == "large"

        tool = Layout(lab.home).host("control") / "bin" / "heroku"
        away = tool.rename(tool.with_name("away"))
        tool.write_text(f'#!/bin/sh\n[ "$1" = config:set ] && exit 9\nexec {away} "$@"\n')
        tool.chmod(0o755)
        with pytest.raises(CutoverError, match="heroku config:set"):
            cutover.rehearse(lab.environment, NIGHT_2013, "2013")
        away.rename(tool)
        assert "12/12" not in capsys.readouterr().out
        rehearsed(lab.environment, cutover.plan_at(lab.environment, NIGHT_2013, ""), go_on=True)

        events = files.events_of(lab.environment, str(NIGHT_2013))
        assert {past.outcome for past in read_history(events).tasks.values()} == {Outcome.DONE}
        assert owed(events) == ()
        assert "12/12" in capsys.readouterr().out

        assert lab.say("warehouse-old", "heroku apps:name") == "warehouse-2012-2013"
        assert lab.say("warehouse-old", "heroku ps:count etl_job") == "0"
        assert [lab.say(host, "etl status") for host in ("warehouse-old", "warehouse-new")] == ["disabled", "enabled"]
        assert lab.say("warehouse-old", "ttmscalr size -f warehouse-old") == "small"
        running = json.loads(lab.say("control", "heroku ps:running"))
        assert running["url"] == lab.say("control", "heroku config:get WAREHOUSE_URL")
        assert "warehouse-new.farm.ttm.com" in running["url"]
        with closing(psycopg2.connect(lab.endpoints.databases["master"])) as link, link.cursor() as cursor:
            cursor.execute("SELECT (SELECT count(*) FROM feed_items), (SELECT array_agg(id) FROM schools)")
            assert cursor.fetchone() == (0, [21])
        for host, command in (("control", "heroku config:set OTHER=1"), ("warehouse-new", "heroku ps:scale etl_job=x")):
            assert lab.type(host, command).code == 2

"""`inv activity.…` at a running rehearsal: a month archived and restored, and a run that is stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date

import psycopg2

from inventory.load import ROOT, load
from rehearsal.waiting import await_condition
from runbooks.activity import span_at
from tests import oracle
from tests.acceptance.conftest import Lab, Typed
from tests.oracle_months import expected_after_month
from tests.worlds import same

AS_OF, MONTH = "2013-05-05", "2013-03"


def test_a_month_goes_out_and_comes_back_from_the_operators_machine(running: Lab, typed: Typed) -> None:
    assert typed("archive.release", "--all").code == 0  # whatever other tests restored
    databases = running.endpoints.databases
    before = oracle.snapshot(databases)
    span = span_at(load("rehearsal"), date.fromisoformat(AS_OF))
    expected = expected_after_month(databases, span.before.astimezone(UTC).replace(tzinfo=None), before)

    stopped = told_to_end(running)
    assert (stopped.returncode, "Stopped by SIGTERM" in str(stopped.stderr)) == (11, True), stopped
    went = typed("activity.archive", f"--as-of={AS_OF}", "--max-lag=64MiB", "--run-time=5m")
    assert (went.code, "FAILED" in went.out) == (0, False), went
    assert "on debug: activity.archive" in went.out
    same(expected, oracle.snapshot(databases))

    listed = [json.loads(line) for line in typed("activity.list", "--json").out.splitlines()]
    assert {(one["month"], one["state"]) for one in listed} == {(MONTH, "archived")}
    assert {one["shard"] for one in listed} == {"shard_1", "shard_2", "shard_3", "shard_4"}

    assert typed("activity.restore", f"--month={MONTH}", "--school=13").code == 0
    assert typed("activity.restore", f"--month={MONTH}").code == 0
    same(before, oracle.snapshot(databases))
    assert typed("activity.restore", f"--month={MONTH}").code == 2
    assert typed("activity.list").out.startswith("No activity is archived.")
    assert typed("archive.release", "13").code == 0
    assert typed("archive.release", "13").code == 2
    assert typed("archive.release", "--all").code == 0


def told_to_end(running: Lab) -> subprocess.CompletedProcess[str]:
    """A slow run on this machine, which gets SIGTERM once its first rows go."""
    words = ["activity.archive", f"--as-of={AS_OF}", "--rate=20", "--here"]
    run = subprocess.Popen(
        [sys.executable, "-m", "invoke", *words],
        cwd=ROOT,
        env={**os.environ, "REHEARSAL_HOME": str(running.home), "CUTOVER_ENV": "rehearsal"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    await_condition(lambda: rows_go(running), doing="Waiting for rows to go", seconds=60)
    run.send_signal(signal.SIGTERM)
    out, err = run.communicate(timeout=60)
    return subprocess.CompletedProcess(words, run.returncode, out, err)


def rows_go(running: Lab) -> bool:
    with closing(psycopg2.connect(running.endpoints.databases["master"])) as link, link.cursor() as cursor:
        cursor.execute("SELECT to_regclass('archiver.archives')")
        if cursor.fetchall() == [(None,)]:
            return False
        cursor.execute("SELECT FROM archiver.archives WHERE kind = 'month' AND state = 'deleting'")
        return bool(cursor.fetchall())

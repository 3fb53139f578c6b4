"""Each command that works on several prints lines of one form and its progress in the same words, on real servers."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from runbooks import shards
from runbooks.cli import call, outcomes
from tests.inside import Said, inv_inside
from tests.worlds import World, sql

COMMANDS = {  # in turn, over one set of databases: what each counts
    "archive.customer {customer} --date=2014-08-15 --here": "schools|verified",
    "archive.verify --all --here": "archives",
    "restore.customer {customer} --here": "schools",
    "activity.archive --as-of=2014-09-05 --here": "schools",
    "activity.restore --month=2014-07 --here": "schools",
    "shards.merge --from=shard_4 --into=shard_1 --dry-run --here": "schools",
    "shards.merge --from=shard_4 --into=shard_1 --here": "schools",
    "databases.vacuum --database=shard_1 --all": "tables",
}
RESULT = r"(\[ *\d+/\d+\] )?(master |shard_\d )?\S+( \d+)?( of (no school on shard_\d|2013))?: \S.*"
PROGRESS = r"[\d,]+ of [\d,]+ ({}): ([\d,]+ rows?, )?(\S+ [kMG]?B, )?(\S+ rows/s|\S+ [kMG]?B/s)(, [\d:]+ left)?"


@pytest.fixture
def inv(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`inv` on this machine with these databases, which prints its progress after each outcome."""
    monkeypatch.setattr(call, "load_environment", lambda *_, **__: world.environment)
    monkeypatch.setattr(shards, "_in_maintenance", lambda environment: True)
    monkeypatch.setattr(outcomes, "EVERY", 0.0)
    return lambda *words: inv_inside(capsys, *words)


def test_each_command_prints_its_progress_in_the_same_words(world: World, inv: Callable[..., Said]) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SELECT customer_id FROM schools GROUP BY 1 HAVING count(*) > 1 ORDER BY count(*), 1 LIMIT 1")
        [[customer]] = cursor.fetchall()

    for command, counted in COMMANDS.items():
        said = inv(*command.format(customer=customer).split())

        assert (said.code, said.err) == (0, ""), said
        lines = said.out.splitlines()
        told = [line for line in lines if re.fullmatch(PROGRESS.format(counted), line)]
        assert told, said.out
        numbered = [line for line in lines if line.startswith("[")]
        assert all(re.fullmatch(RESULT, line) for line in numbered), numbered

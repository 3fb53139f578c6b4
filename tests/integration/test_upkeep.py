"""Feeds are emptied and strays dropped, and whatever is used stays and is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from archiver.completeness import completeness
from archiver.delete.drop_strays import drop
from archiver.delete.empty_feeds import empty_feeds
from archiver.runs.setup import databases_of
from archiver.vacuum import feeds, strays
from errors import ExitCode, RefusedError
from runbooks.cli import call
from tests import oracle
from tests.inside import Said, inv_inside
from tests.worlds import SHARDS, World, sql

STRAYS = {
    "activity_join",
    "emailed_rollup_reports",
    "images_tmp",
    "lesson_enrollments_changed_passed",
    "queue_classic_jobs",
    "queue_classic_jobs_2012",
    "reports_in_emails",
    "rollup_reports",
    "tmp_activities_join",
    "user_opted_in_rollup_reports",
}
NOW = ("--quiet=0d",)


@pytest.fixture
def inv(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`inv` where these are the databases."""
    monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: world.environment)
    return lambda *words: inv_inside(capsys, *words)


def relations(world: World, database: str, kind: str) -> set[str]:
    with sql(world, database) as cursor:
        query = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = %s"
        cursor.execute(query, (kind,))
        return {row[0] for row in cursor.fetchall()}


def run(world: World, database: str, statements: str) -> None:
    with sql(world, database) as cursor:
        cursor.execute(statements)


def test_only_the_feeds_are_emptied_and_their_sequences_are_kept(world: World, inv: Callable[..., Said]) -> None:
    before = oracle.snapshot(world.dsns)
    shown = inv("databases.truncate-feeds", "--dry-run")
    assert (shown.code, oracle.snapshot(world.dsns)) == (0, before)
    assert shown.out.startswith("master feed_items: 66 rows, ")
    assert json.loads(inv("databases.truncate-feeds", "--dry-run", "--json").out)["rows"] == 132

    assert inv("databases.truncate-feeds").code == 0

    emptied = {**before.tables["master"], "feed_items": [], "feed_item_interactions": []}
    assert oracle.snapshot(world.dsns) == replace(before, tables={**before.tables, "master": emptied})
    assert json.loads(inv("databases.truncate-feeds", "--dry-run", "--json").out)["rows"] == 0


def test_a_feed_that_another_table_references_is_not_emptied(world: World, inv: Callable[..., Said]) -> None:
    run(world, "master", "CREATE TABLE likes (feed_item_id bigint REFERENCES feed_items)")

    said = inv("databases.truncate-feeds")

    assert (said.code, "foreign key constraint" in said.err) == (ExitCode.FAILED, True)
    assert json.loads(inv("databases.truncate-feeds", "--dry-run", "--json").out)["rows"] == 132


def test_strays_are_dropped_with_their_sequences_and_nothing_else_is(world: World, inv: Callable[..., Said]) -> None:
    tables, sequences = (relations(world, "shard_1", kind) for kind in "rS")
    master = relations(world, "master", "r")
    assert "queue_classic_jobs_2012: 3 rows" in inv("databases.drop-strays", "--dry-run", *NOW).out
    assert relations(world, "shard_1", "r") == tables

    said = inv("databases.drop-strays", *NOW)

    assert (said.code, said.err) == (0, "")
    assert "shard_1: 10 of 10 strays dropped" in said.out
    for shard in SHARDS:
        assert relations(world, shard, "r") == tables - STRAYS
        left = {name for name in sequences if not any(name.startswith(stray) for stray in STRAYS)}
        assert relations(world, shard, "S") == left
    assert relations(world, "master", "r") == master
    with databases_of(world.environment, "test") as databases:  # the catalog does not miss them
        assert completeness.compare(databases).problems == ()


USES = {
    "a foreign key": (
        "CREATE TABLE mails (report integer REFERENCES rollup_reports)",
        "rollup_reports",
        "of public.mails",
    ),
    "a view": ("CREATE VIEW old AS SELECT name FROM images_tmp", "images_tmp", "the view public.old"),
    "a function": (
        "CREATE FUNCTION later() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN"
        " RETURN (SELECT count(*) FROM queue_classic_jobs); END $$",
        "queue_classic_jobs",
        "the function public.later()",
    ),
    "its sequence": (
        "CREATE TABLE joins (id bigint DEFAULT nextval('activity_join_id_seq'))",
        "activity_join",
        "the column public.joins.id, which its sequence activity_join_id_seq numbers",
    ),
}


@pytest.mark.parametrize("case", USES)
def test_a_stray_that_is_used_stays_and_the_others_go(world: World, inv: Callable[..., Said], case: str) -> None:
    change, table, why = USES[case]
    run(world, "shard_2", change)

    said = inv("databases.drop-strays", "--database=shard_2", *NOW)

    assert (said.code, why in said.out) == (ExitCode.FAILED, True)
    assert relations(world, "shard_2", "r") & STRAYS == {table}


def test_a_recently_written_stray_stays_with_the_tables_that_it_references(
    world: World, inv: Callable[..., Said]
) -> None:
    run(world, "shard_3", "INSERT INTO reports_in_emails (emailed_rollup_report_id, rollup_report_id) VALUES (1, 1)")
    run(world, "shard_3", "SELECT pg_stat_force_next_flush()")

    said = inv("databases.drop-strays", "--database=shard_3", *NOW)

    assert "reports_in_emails: 4 rows" in said.out
    assert "1 row was written since" in said.out
    assert "FAILED" not in said.out
    kept = {"reports_in_emails", "emailed_rollup_reports", "rollup_reports"}
    assert relations(world, "shard_3", "r") & STRAYS == kept
    assert "STAYS" in inv("databases.drop-strays", "--database=shard_4", "--dry-run").out  # the server just began


def test_a_stray_that_is_in_use_only_once_it_is_locked_stays(world: World) -> None:
    with databases_of(world.environment, "test") as databases:
        session, quiet = databases.session("shard_1"), timedelta(0)
        [stray] = [one for one in strays.look(session, databases.model.catalog, "shard") if one.table == "images_tmp"]
        run(world, "shard_1", "CREATE VIEW late AS SELECT name FROM images_tmp")

        with pytest.raises(RefusedError, match=r"images_tmp is in use by now: the view public\.late\."):
            drop(session, stray, quiet)
    assert "images_tmp" in relations(world, "shard_1", "r")


def test_in_production_the_environments_name_is_typed(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = replace(world.environment, environment="production", production=True)
    monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: real)

    for words, code in (((), ExitCode.USAGE), (("--confirm=staging",), ExitCode.USAGE), (("--confirm=production",), 0)):
        assert inv_inside(capsys, "databases.truncate-feeds", *words).code == code
        rows = json.loads(inv_inside(capsys, "databases.truncate-feeds", "--dry-run", "--json").out)["rows"]
        assert rows == (0 if code == 0 else 132)


def test_feeds_of_which_truncate_is_published_are_emptied_only_if_the_inventory_allows_it(world: World) -> None:
    with sql(world, "master") as cursor:
        cursor.execute("SET client_min_messages = error; CREATE PUBLICATION warehouse FOR TABLE feed_items")
    with databases_of(world.environment, "test") as databases:
        of_master = [feed for feed in feeds.look(databases) if feed.database == "master"]
        with pytest.raises(RefusedError, match="feed_items is in the publication warehouse"):
            empty_feeds(databases.master, of_master)
        assert [feed for feed in feeds.look(databases) if feed.database == "master"] == of_master

        empty_feeds(databases.master, of_master, truncate_published=True)

        assert sum(feed.rows for feed in feeds.look(databases) if feed.database == "master") == 0

"""Keys as operators type them, on each task that takes one: of a wrong shape, of no tenant, and as they are shown."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from errors import ExitCode
from inventory.keys import listed, typed
from inventory.model import Fence
from runbooks.cli import call
from tests import oracle
from tests.cases.keyed import KEYED
from tests.cases.products import run, standing
from tests.declared import declared_tasks
from tests.inside import inv_inside
from tests.worlds import NewWorld, World, same

KEY, OPTIONS = "{key}", ("school", "schools", "customer")
# Of tasks with a tenant's or a customer's key, whether an unknown one is an error, and the rest of the command.
TENANT = {
    "archive.school": (True, "{key} --here"),
    "archive.show": (True, "{key}"),
    "archive.cat": (True, "{key} rooms"),
    "archive.query": (True, '{key} "SELECT 1"'),
    "archive.verify": (True, "{key} --here"),
    "archive.reencrypt": (True, "{key} --here"),
    "archive.release": (True, "{key}"),
    "archive.drop-archive": (True, "{key} --tarball=x --here"),
    "archive.log": (False, "--school={key}"),
    "archive.find": (False, "school {key}"),
    "activity.restore": (True, "--month=2014-04 --school={key} --here"),
    "restore.school": (True, "{key} --here"),
    "restore.plan": (True, "{key} --here"),
    "shards.merge": (True, "--from=shard_1 --into=shard_2 --schools={key} --here"),
    "shards.split": (True, "--from=shard_2 --into=shard_1 --schools={key} --here"),
}
CUSTOMER = {
    "archive.customer": (True, "{key} --here"),
    "restore.customer": (True, "{key} --here"),
    "archive.list": (False, "--customer={key}"),
}
OTHERS = {"archive.all", "rehearsal.run", "rehearsal.up"}  # a digest, and a number of schools


@pytest.fixture
def world(new_world: NewWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Companies with a key of two numbers, one of which is archived."""
    product = KEYED["two numbers"].product
    product = replace(product, catalog=product.catalog.replace("noun: school,", "noun: company,"))
    with standing(new_world, tmp_path, product) as world:
        fenced = replace(world.environment, fence=Fence(close="true {id}", open="true {id}"))
        monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: fenced)
        yield world


def ledger(world: World) -> Any:
    return run(world, "master", "SELECT to_jsonb(a)::text FROM archiver.archives a ORDER BY 1")


def test_every_task_with_a_key_is_known_here() -> None:
    taking = {name for name, task in declared_tasks().items() if any(each.name in OPTIONS for each in task.options)}
    assert taking - OTHERS == {*TENANT, *CUSTOMER} - {"archive.find"}


def test_a_key_of_a_wrong_shape_or_of_no_company_is_refused_in_a_sentence_by_every_task(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    inv = partial(inv_inside, capsys)
    world.archive(KEYED["two numbers"].keys[-1])
    before, recorded = oracle.snapshot(world.dsns), ledger(world)
    shapes = (TENANT, "7", "company: expected syear and id of a company, got '7'.", "2011-7")
    others = (CUSTOMER, "x", "customer: expected id of a customer, got 'x'.", "77")
    for of_kind, wrong, sentence, unknown in (shapes, others):
        for name, (refused, line) in of_kind.items():
            said = inv(name, *shlex.split(line.replace(KEY, wrong)))
            assert (said.code, said.out) == (ExitCode.USAGE, ""), (name, said)
            assert said.err.startswith(sentence) and "hint: Example: " in said.err, (name, said)

            said = inv(name, *shlex.split(line.replace(KEY, unknown)))
            assert said.code == (ExitCode.USAGE if refused else ExitCode.DONE), (name, said)
            assert "Traceback" not in said.err and (unknown in said.err or not refused), (name, said)
            assert "school" not in said.err.replace("restore.school", "").replace("shards.", ""), (name, said)
    for part, sentence in (
        ("desk 7", "desk: expected syear and id of a desk, got '7'."),
        ("chair 7", "The catalog of tables has no part 'chair' of a company (there: room, user, desk)."),
        ("desk 2011-7", "Desk 2011-7 is not in the archive of company 2013-9000000000 of 2013; nothing was changed."),
    ):
        said = inv("restore.school", "2013-9000000000", f"--part={part}", "--here")
        assert said.code != ExitCode.DONE and sentence in said.err + said.out, (part, said)
    same(before, oracle.snapshot(world.dsns))
    assert ledger(world) == recorded


def test_companies_of_a_list_move_by_the_keys_that_the_tool_shows(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    inv, keyed = partial(inv_inside, capsys), KEYED["two numbers"]
    keys = shlex.quote(",".join(map(listed, keyed.keys[1:])))
    said = inv("shards.merge", *shlex.split(f"--from=shard_1 --into=shard_2 --schools={keys} --here"))
    assert (said.code, said.err) == (ExitCode.DONE, ""), said
    assert "company 2013-7: moved to shard_2" in said.out
    assert run(world, "master", "SELECT syear, id FROM schools WHERE shard = 'shard_1'") == [(2012, 7)]


@pytest.mark.parametrize("kind", ["text", "year and id"])
def test_an_archive_a_part_and_a_list_are_typed_by_nasty_keys(
    new_world: NewWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    keyed, inv = KEYED[kind], partial(inv_inside, capsys)
    with standing(new_world, tmp_path, keyed.product) as world:
        fenced = replace(world.environment, fence=Fence(close="true {id}", open="true {id}"))
        monkeypatch.setattr(call, "load_environment", lambda *args, **kwargs: fenced)
        before = oracle.snapshot(world.dsns)
        for number, key in enumerate(keyed.keys[-3:], start=len(keyed.keys) - 2):
            for line in (
                f"archive.school {typed(key)} --here --date=2013-09-01",
                f"archive.find desk {typed(keyed.desk(number))}",
                f"restore.school {typed(key)} --here --part=desk' '{typed(keyed.desk(number))}",
                f"restore.school {typed(key)} --here",
            ):
                said = inv(*shlex.split(line))
                assert (said.code, said.err) == (ExitCode.DONE, ""), (line, said)
                assert f"school {key}" in said.out, (line, said)
        same(before, oracle.snapshot(world.dsns))
        keys = shlex.quote(", ".join(map(listed, keyed.keys)))
        said = inv(*shlex.split(f"shards.merge --from=shard_1 --into=shard_2 --schools={keys} --here"))
        assert (said.code, said.err) == (ExitCode.DONE, ""), said
        assert run(world, "master", "SELECT DISTINCT shard FROM schools") == [("shard_2",)]

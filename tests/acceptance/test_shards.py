"""`inv shards.…`, forwarded to the debug host of a running rehearsal, which has no fence but maintenance mode."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import oracle
from tests.acceptance.conftest import Lab, Typed

MERGE, SPLIT = (
    ("shards.merge", "--from=shard_4", "--into=shard_1"),
    ("shards.split", "--from=shard_1", "--into=shard_4"),
)


@pytest.fixture
def maintenance(typed: Typed) -> Iterator[None]:
    """Turn maintenance mode on: the product answers no request."""
    switch = ("rehearsal.shell", "--host=control", "--command")
    assert typed(*switch, "ttmscalr maintenance:on -f rehearsal").code == 0
    yield
    assert typed(*switch, "ttmscalr maintenance:off -f rehearsal").code == 0


def test_without_fence_and_maintenance_mode_nothing_is_moved(running: Lab, typed: Typed) -> None:
    before = oracle.snapshot(running.endpoints.databases)

    said = typed(*MERGE)

    assert (said.code, "nothing keeps the application off them" in said.out + said.err) == (10, True), said
    assert oracle.snapshot(running.endpoints.databases) == before


@pytest.mark.usefixtures("maintenance")
def test_a_shard_is_merged_and_split_in_maintenance_mode(running: Lab, typed: Typed) -> None:
    before = oracle.snapshot(running.endpoints.databases)

    merged = typed(*MERGE)
    assert (merged.code, merged.err) == (0, "")
    assert "9 of 9 schools moved from shard_4 to shard_1" in merged.out
    assert "merged: its archives come back into shard_1" in typed("shards.show").out

    split = typed(*SPLIT)
    assert (split.code, "9 of 9 schools moved from shard_1 to shard_4" in split.out) == (0, True), split
    assert oracle.snapshot(running.endpoints.databases).tables == before.tables


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("shards.merge", "--into=shard_1"), "--from: expected a shard of the inventory (shard_1, "),
        (("shards.merge", "--from=shard_9", "--into=shard_1"), "got 'shard_9'"),
        (("shards.split", "--from=shard_1", "--into=shard_1"), "expected another shard than --from"),
    ],
)
def test_arguments_that_do_not_name_two_shards_are_refused(typed: Typed, words: tuple[str, ...], sentence: str) -> None:
    said = typed(*words)

    assert (said.code, sentence in said.out + said.err) == (2, True), said

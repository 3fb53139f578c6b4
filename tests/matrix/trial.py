"""One adversity on one way, out or back, judged by all rows of all databases."""

from __future__ import annotations

from pathlib import Path

import pytest

from rehearsal.postgres_server import Cluster
from tests import oracle
from tests.cases.attack_world import given, quietly
from tests.matrix.adversities import ADVERSITIES, Adversity, Moment, Scene
from tests.matrix.paths import WAYS
from tests.oracle import Snapshot
from tests.worlds import NewWorld


def tried(
    new_world: NewWorld, cluster: Cluster, patch: pytest.MonkeyPatch, folder: Path, adversity: str, way: str
) -> None:
    """Assert that a way keeps every row when an adversity comes, and goes on when it is over."""
    trial = {Moment.DELETING: _struck_on_the_way_out, Moment.AWAY: _struck_on_the_way_back}
    with new_world(WAYS[way].databases) as bare:
        world = WAYS[way].ready(bare, folder)
        scene = Scene(world=world, way=WAYS[way], cluster=cluster, folder=folder)
        ADVERSITIES[adversity].made(scene)
        trial[ADVERSITIES[adversity].moment](scene, ADVERSITIES[adversity], patch)


def _struck_on_the_way_out(scene: Scene, adversity: Adversity, patch: pytest.MonkeyPatch) -> None:
    """Refused, each row is live or away; then, without the adversity, all go and all come back as they were."""
    world, way, whole = scene.world, scene.way, [oracle.snapshot(scene.world.dsns)]

    def strike() -> None:
        adversity.comes(scene)
        whole.append(oracle.snapshot(world.dsns))

    with patch.context() as patched:
        way.before_deleting(patched, strike)
        error = quietly(lambda: way.out(world))
    assert (error is None) == (way.name in adversity.harmless), error
    if error:
        if way.archives(world):  # of other schools: each goes for itself
            way.back(world)
        _assert_same(whole[-1], oracle.snapshot(world.dsns))
        adversity.ends(scene)
        whole.append(oracle.snapshot(world.dsns))
        way.out(world)
    given(oracle.snapshot(world.dsns) != whole[-1], "rows that went")
    way.back(world)
    _assert_same(whole[-1], oracle.snapshot(world.dsns))


def _struck_on_the_way_back(scene: Scene, adversity: Adversity, patch: pytest.MonkeyPatch) -> None:
    """Refused, the rows are away and named as before; then, without the adversity, they come back."""
    world, way = scene.world, scene.way
    whole = oracle.snapshot(world.dsns)
    way.out(world)
    out, named = oracle.snapshot(world.dsns), way.archives(world)
    given(out != whole, "rows that went")
    adversity.comes(scene)
    error = quietly(lambda: way.back(world))
    adversity.ends(scene)
    assert (error is None) == (way.name in adversity.harmless), error
    if error:
        if way.at_once:
            _assert_same(out, oracle.snapshot(world.dsns))
            assert way.archives(world) == named
        way.back(world)
    _assert_same(whole, oracle.snapshot(world.dsns))


def _assert_same(expected: Snapshot, found: Snapshot) -> None:
    assert found.tables == expected.tables, oracle.difference(expected, found)

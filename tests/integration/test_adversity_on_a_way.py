"""Each adversity on one way out and back, another way for each; `make matrix` tries it on every way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.postgres_server import Cluster
from tests.conftest import ROLE
from tests.matrix.adversities import ADVERSITIES, Adversity
from tests.matrix.paths import WAYS
from tests.matrix.trial import tried
from tests.worlds import NewWorld


@pytest.fixture
def settings_of_the_role(cluster: Cluster) -> Iterator[None]:
    """Leave the role's settings as they were, however a test ends."""
    yield
    cluster.sql(f"ALTER ROLE {ROLE} RESET ALL")


def _turns() -> list[tuple[str, str]]:
    """Return each adversity with a way on which it can come about; the ways take turns."""
    turns = []
    for number, adversity in enumerate(ADVERSITIES.values()):
        possible = [way for way in WAYS if way not in adversity.impossible]
        turns.append((adversity.name, possible[number % len(possible)]))
    return turns


def test_an_adversity_is_left_out_only_where_it_can_not_come_about() -> None:
    ways = {way for _, way in _turns()}
    assert ways == set(WAYS)
    for adversity in ADVERSITIES.values():
        assert set(adversity.impossible) <= set(WAYS), adversity.name
        assert all(_is_a_reason(adversity, way) for way in adversity.impossible), adversity.name


def _is_a_reason(adversity: Adversity, way: str) -> bool:
    return len(adversity.impossible[way].split()) > 4


@pytest.mark.usefixtures("settings_of_the_role")
@pytest.mark.parametrize(("adversity", "way"), _turns())
def test_nothing_is_lost(
    new_world: NewWorld, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, adversity: str, way: str
) -> None:
    tried(new_world, cluster, monkeypatch, tmp_path, adversity, way)

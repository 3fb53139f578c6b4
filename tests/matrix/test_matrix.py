"""Each adversity on each way: whatever comes, every row is live or in an object that is named, and comes back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rehearsal.postgres_server import Cluster
from tests.conftest import ROLE
from tests.matrix.adversities import ADVERSITIES
from tests.matrix.paths import WAYS
from tests.matrix.trial import tried
from tests.worlds import NewWorld

CELLS = [(adversity.name, way) for adversity in ADVERSITIES.values() for way in WAYS if way not in adversity.impossible]


@pytest.fixture
def settings_of_the_role(cluster: Cluster) -> Iterator[None]:
    """Leave the role's settings as they were, however a test ends."""
    yield
    cluster.sql(f"ALTER ROLE {ROLE} RESET ALL")


@pytest.mark.usefixtures("settings_of_the_role")
@pytest.mark.parametrize(("adversity", "way"), CELLS)
def test_nothing_is_lost(
    new_world: NewWorld, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, adversity: str, way: str
) -> None:
    tried(new_world, cluster, monkeypatch, tmp_path, adversity, way)

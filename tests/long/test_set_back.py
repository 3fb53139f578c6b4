"""Master or a shard replaced by an earlier server at a kill: a sample, of which `make torture` tries all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from rehearsal.postgres_server import Cluster
from tests.torture.set_back import Earlier, Try, own_server, tried, unharmed
from tests.torture.set_back_ways import HERE, WAYS
from tests.worlds import NewWorld

BY_NAME = {way.name: way for way in WAYS}


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Cluster]:
    """A server for the database that is set back."""
    with own_server(cluster) as server:
        yield server


@pytest.mark.parametrize(
    ("name", "database", "kind"), [("one", "master", Earlier.STANDBY), ("many", HERE, Earlier.BACKUP)]
)
def test_nothing_is_lost_when_an_earlier_server_takes_a_database_s_place(
    new_world: NewWorld, alike: str, server: Cluster, name: str, database: str, kind: Earlier
) -> None:
    """It was copied before the act, which has ended, or died between the COMMIT of the shard and that of master."""
    way = BY_NAME[name]
    with way.world(new_world, alike) as world:
        moments = list(unharmed(world, way).moments)
    between = next(
        number for number, moment in enumerate(moments) if moment.startswith(f"after {HERE}: COMMIT (deleting")
    )

    for die_at in (between, None):
        one = Try(way=way, database=database, kind=kind, lag_at=None, die_at=die_at)
        with way.world(new_world, alike) as world:
            verdict = tried(world, server, one)
        assert (verdict.lost, verdict.wrong) == (0, ""), f"{one}: {verdict}"

"""Master or a shard replaced by an earlier server at a kill: a sample, of which `make torture` tries all."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from inventory.model import Depth
from rehearsal.postgres_server import Cluster
from rehearsal.seed_plan import SCHOOL
from tests.cases.attack_world import DATABASES, HERE
from tests.torture.runs import Act, run
from tests.torture.set_back import Earlier, Try, lost, own_server
from tests.worlds import NewWorld

ARCHIVE = Act(verb="archive", school=SCHOOL, depth=Depth.ALL)
MANY = Act(verb="archive", school=SCHOOL, depth=Depth.ALL, others=(61,))


@pytest.fixture(scope="module")
def server(cluster: Cluster) -> Iterator[Cluster]:
    """A server for the database that is set back."""
    with own_server(cluster) as server:
        yield server


@pytest.mark.parametrize(
    ("act", "database", "kind"), [(ARCHIVE, "master", Earlier.STANDBY), (MANY, HERE, Earlier.BACKUP)], ids=str
)
def test_nothing_is_lost_when_an_earlier_server_takes_a_database_s_place(
    new_world: NewWorld, server: Cluster, act: Act, database: str, kind: Earlier
) -> None:
    """It was copied before the act, which has ended, or died between the COMMIT of the shard and that of master."""
    with new_world(DATABASES) as world:
        ending = run(world, act)
    assert ending.moments, ending
    moments = list(ending.moments)
    commits = [number for number, moment in enumerate(moments) if "COMMIT (deleting" in moment]
    between = next(number for number in commits if moments[number].startswith("after shard"))

    for die_at in (between, None):
        with new_world(DATABASES) as world:
            one = Try(act=act, database=database, kind=kind, lag_at=None, die_at=die_at)
            assert lost(world, server, one) == 0, one

"""What a peer must be told of a school."""

from __future__ import annotations

from bench.servers import MASTER
from bench.testbed import Testbed


def shard_of(ground: Testbed, school: int) -> str:
    """The database of its activity."""
    return ground.cluster.sql(f"SELECT shard FROM schools WHERE id = {school}", dbname=MASTER)


def classrooms_of(ground: Testbed, school: int) -> str:
    """The ids of its classrooms, as SQL lists them."""
    return ground.cluster.sql(
        f"SELECT string_agg(id::text, ', ') FROM classrooms WHERE school_id = {school}", dbname=MASTER
    )

"""A school's shard and classrooms, which peers need."""

from __future__ import annotations

from bench.servers import MASTER
from bench.testbed import Testbed


def shard_of(testbed: Testbed, school: int) -> str:
    """Return the database of a school's activity."""
    return testbed.cluster.sql(f"SELECT shard FROM schools WHERE id = {school}", dbname=MASTER)


def classrooms_of(testbed: Testbed, school: int) -> str:
    """Return the ids of a school's classrooms as an SQL list."""
    return testbed.cluster.sql(
        f"SELECT string_agg(id::text, ', ') FROM classrooms WHERE school_id = {school}", dbname=MASTER
    )

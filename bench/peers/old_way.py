"""The tool of 2013 by its description: COPY a student and table, tar and gzip -6, MD5, store, restore, DELETE.

Kinder than it was: no Ruby, connections that are open, a local database that is there. Cold, for a few schools, and
told for every classroom of the year.
"""

from __future__ import annotations

import sys

from bench import servers
from bench.measured import Measured, middle, scaled
from bench.places import ROOT
from bench.process import measure
from bench.servers import ROLE
from bench.testbed import Testbed
from bench.year.make import create_tables
from bench.year.size import excluded, median_schools

SAMPLE = 5  # schools, of one classroom each
# That era's Rails wrote none.
NO_FOREIGN_KEYS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint WHERE contype = 'f'
\\gexec
"""


def old_way(ground: Testbed) -> Measured:
    """A few schools, each with nothing of it in memory; then for all classrooms but those of excluded schools."""
    _local(ground)
    tries = [_cold(ground, school) for school in median_schools(ground.size, SAMPLE)]
    sample = middle(tries)
    rooms = ground.size.classrooms - len(excluded(ground.size))
    note = f"{SAMPLE} classrooms sampled, cold, {sample.seconds:.2f} s a classroom, for {rooms} one after the other"
    return scaled(sample, rooms, note)


def _local(ground: Testbed) -> None:
    """The local database that it restored into, with two names here: master's tables and a shard's."""
    names = ("local_master", "local_shard")
    for name in names:
        ground.cluster.sql(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {ROLE}")
    create_tables(ground.cluster, names[0], names[1:])
    for name in names:
        ground.cluster.sql(NO_FOREIGN_KEYS, dbname=name)


def _cold(ground: Testbed, school: int) -> Measured:
    servers.restart_cold(ground.cluster)
    words = (sys.executable, "-m", "bench.peers.old_school", str(school))
    measured = measure(words, ground.cluster, env=ground.env, folder=ROOT, tells=True)
    # Its start counts for nothing: that process worked through many schools.
    return Measured(**{**vars(measured), "seconds": measured.figures["school_seconds"]})

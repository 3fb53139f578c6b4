"""The tool of 2013 by its description: COPY a student and table, tar and gzip -6, MD5, store, restore, DELETE.

It is faster than the original: no Ruby, open connections, an existing local database. Measured cold for a few schools,
extrapolated to every classroom of the year.
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
# Rails created none at the time.
NO_FOREIGN_KEYS = """
SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname) FROM pg_constraint WHERE contype = 'f'
\\gexec
"""


def old_way(testbed: Testbed) -> Measured:
    """Archive a few schools, each cold; return the cost extrapolated to all classrooms of schools not excluded."""
    _local(testbed)
    tries = [_cold(testbed, school) for school in median_schools(testbed.size, SAMPLE)]
    sample = middle(tries)
    rooms = testbed.size.classrooms - len(excluded(testbed.size))
    note = f"{SAMPLE} classrooms sampled, cold, {sample.seconds:.2f} s a classroom, for {rooms} in sequence"
    return scaled(sample, rooms, note)


def _local(testbed: Testbed) -> None:
    """Create the local database that the tool restored into; here two, for master's and a shard's tables."""
    names = ("local_master", "local_shard")
    for name in names:
        testbed.cluster.sql(f"CREATE DATABASE {name} TEMPLATE template0 OWNER {ROLE}")
    create_tables(testbed.cluster, names[0], names[1:])
    for name in names:
        testbed.cluster.sql(NO_FOREIGN_KEYS, dbname=name)


def _cold(testbed: Testbed, school: int) -> Measured:
    servers.restart_cold(testbed.cluster)
    words = (sys.executable, "-m", "bench.peers.old_school", str(school))
    measured = measure(words, testbed.cluster, env=testbed.env, folder=ROOT, tells=True)
    # The start of the process does not count: the tool archived many schools in one process.
    return Measured(**{**vars(measured), "seconds": measured.figures["school_seconds"]})

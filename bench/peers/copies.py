"""psql's COPY: of everything to /dev/null as a limit, of schools' tables to files as a peer; and gzip as a limit."""

from __future__ import annotations

import sys

from bench.measured import Measured, middle, scaled, total
from bench.peers.paths import PATHS
from bench.peers.schools import classrooms_of, shard_of
from bench.places import ROOT
from bench.process import measure
from bench.testbed import Testbed
from bench.year.size import SHARDS, median_schools

SAMPLE = 3  # schools


def copy_out(testbed: Testbed) -> Measured:
    """Copy every row of the shards through psql to /dev/null."""
    return total(_psql(testbed, shard, [f"\\copy {table} TO /dev/null" for table in PATHS]) for shard in SHARDS)


def gzip(testbed: Testbed) -> Measured:
    """Compress the first shard's rows, from files of COPY text, with isal's gzip at level 1, to /dev/null."""
    _psql(testbed, SHARDS[0], [f"\\copy {table} TO '{testbed.folder}/{table}.copy'" for table in PATHS])
    files = [str(testbed.folder / f"{table}.copy") for table in PATHS]
    code = "import sys, isal.igzip as z\nfor p in sys.argv[1:]:\n  o = z.open('/dev/null', 'wb', compresslevel=1)\n"
    code += "  f = open(p, 'rb')\n  while b := f.read(1 << 20): o.write(b)\n  o.close()"
    megabytes = sum((testbed.folder / f"{table}.copy").stat().st_size for table in PATHS) / 1e6
    measured = measure([sys.executable, "-c", code, *files], testbed.cluster, folder=ROOT)
    return measured.with_note(f"{megabytes:.0f} MB at {megabytes / measured.seconds:.0f} MB/s")


def by_table(testbed: Testbed) -> Measured:
    """Run one psql per table and school for a few schools; return the cost extrapolated to all."""
    sample = middle(_school(testbed, school) for school in median_schools(testbed.size, SAMPLE))
    note = f"{SAMPLE} schools sampled, {1000 * sample.seconds:.0f} ms a school, extrapolated to {testbed.size.schools}"
    return scaled(sample, testbed.size.schools, note)


def _school(testbed: Testbed, school: int) -> Measured:
    shard, ids = shard_of(testbed, school), classrooms_of(testbed, school)
    return total(
        _psql(testbed, shard, [f"\\copy ({path.of_classrooms(ids)}) TO '{testbed.folder}/{table}'"])
        for table, path in PATHS.items()
    )


def _psql(testbed: Testbed, database: str, commands: list[str]) -> Measured:
    words = [word for command in commands for word in ("-c", command)]
    return measure([testbed.program("psql"), "-X", "-q", "-d", database, *words], testbed.cluster, env=testbed.libpq)

"""psql's COPY: everything to nowhere as a limit, a school's tables to files as a peer, and gzip of the same bytes."""

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


def copy_out(ground: Testbed) -> Measured:
    """Every row of the shards through psql, thrown away."""
    return total(_psql(ground, shard, [f"\\copy {table} TO /dev/null" for table in PATHS]) for shard in SHARDS)


def gzip(ground: Testbed) -> Measured:
    """The first shard's rows, from a file of COPY text, through isal's gzip at its first level, thrown away."""
    _psql(ground, SHARDS[0], [f"\\copy {table} TO '{ground.folder}/{table}.copy'" for table in PATHS])
    files = [str(ground.folder / f"{table}.copy") for table in PATHS]
    code = "import sys, isal.igzip as z\nfor p in sys.argv[1:]:\n  o = z.open('/dev/null', 'wb', compresslevel=1)\n"
    code += "  f = open(p, 'rb')\n  while b := f.read(1 << 20): o.write(b)\n  o.close()"
    megabytes = sum((ground.folder / f"{table}.copy").stat().st_size for table in PATHS) / 1e6
    measured = measure([sys.executable, "-c", code, *files], ground.cluster, folder=ROOT)
    return measured.with_note(f"{megabytes:.0f} MB at {megabytes / measured.seconds:.0f} MB/s")


def by_table(ground: Testbed) -> Measured:
    """A psql a table and school, for a few schools, told for all of them."""
    sample = middle(_school(ground, school) for school in median_schools(ground.size, SAMPLE))
    note = f"{SAMPLE} schools sampled, {1000 * sample.seconds:.0f} ms a school, for all {ground.size.schools}"
    return scaled(sample, ground.size.schools, note)


def _school(ground: Testbed, school: int) -> Measured:
    shard, ids = shard_of(ground, school), classrooms_of(ground, school)
    return total(
        _psql(ground, shard, [f"\\copy ({path.of_classrooms(ids)}) TO '{ground.folder}/{table}'"])
        for table, path in PATHS.items()
    )


def _psql(ground: Testbed, database: str, commands: list[str]) -> Measured:
    words = [word for command in commands for word in ("-c", command)]
    return measure([ground.program("psql"), "-X", "-q", "-d", database, *words], ground.cluster, env=ground.libpq)

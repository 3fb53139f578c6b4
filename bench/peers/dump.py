"""PostgreSQL's own dump and restore of the same databases."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.measured import Measured, total
from bench.process import measure
from bench.servers import FILLED, ROLE
from bench.testbed import Testbed


def dump(testbed: Testbed) -> Measured:
    """Dump every database, one after the other, each with two jobs."""
    words = (testbed.program("pg_dump"), "--format=directory", "--jobs=2", "--compress=gzip:1")
    return total(
        measure([*words, f"--file={_folder(testbed, name)}", name], testbed.cluster, env=testbed.libpq)
        for name in FILLED
    )


def restore(testbed: Testbed) -> Measured:
    """Restore the dumps, which must exist, into new databases; then remove both."""
    try:
        return total(_restore(testbed, name) for name in FILLED)
    finally:
        testbed.cluster.sql("".join(f"DROP DATABASE IF EXISTS restored_{name};\n" for name in FILLED))
        for name in FILLED:
            shutil.rmtree(_folder(testbed, name), ignore_errors=True)


def _restore(testbed: Testbed, name: str) -> Measured:
    target = f"restored_{name}"
    testbed.cluster.sql(f"CREATE DATABASE {target} TEMPLATE template0 OWNER {ROLE}")
    words = (testbed.program("pg_restore"), "--jobs=2", "--no-owner", "--exit-on-error", f"--dbname={target}")
    return measure([*words, _folder(testbed, name)], testbed.cluster, env=testbed.libpq)


def _folder(testbed: Testbed, name: str) -> Path:
    return testbed.folder / f"dump-{name}"

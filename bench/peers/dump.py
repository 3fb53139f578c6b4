"""PostgreSQL's own dump of the same databases, and its way back."""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.measured import Measured, total
from bench.process import measure
from bench.servers import FILLED, ROLE
from bench.testbed import Testbed


def dump(ground: Testbed) -> Measured:
    """Every database, one after the other, each with both cores."""
    words = (ground.program("pg_dump"), "--format=directory", "--jobs=2", "--compress=gzip:1")
    return total(
        measure([*words, f"--file={_folder(ground, name)}", name], ground.cluster, env=ground.libpq) for name in FILLED
    )


def restore(ground: Testbed) -> Measured:
    """The dumps into new databases, of which nothing stays; the dumps neither. Needs them."""
    try:
        return total(_restore(ground, name) for name in FILLED)
    finally:
        ground.cluster.sql("".join(f"DROP DATABASE IF EXISTS restored_{name};\n" for name in FILLED))
        for name in FILLED:
            shutil.rmtree(_folder(ground, name), ignore_errors=True)


def _restore(ground: Testbed, name: str) -> Measured:
    target = f"restored_{name}"
    ground.cluster.sql(f"CREATE DATABASE {target} TEMPLATE template0 OWNER {ROLE}")
    words = (ground.program("pg_restore"), "--jobs=2", "--no-owner", "--exit-on-error", f"--dbname={target}")
    return measure([*words, _folder(ground, name)], ground.cluster, env=ground.libpq)


def _folder(ground: Testbed, name: str) -> Path:
    return ground.folder / f"dump-{name}"

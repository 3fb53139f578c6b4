"""slice-db from PyPI: the shard rows of a school to a zip, as a whole process, with two jobs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.measured import Measured, middle
from bench.peers.paths import PATHS
from bench.peers.schools import classrooms_of, shard_of
from bench.places import home
from bench.process import measure
from bench.testbed import Testbed
from bench.year.size import largest_school, median_schools
from errors import CutoverError

VERSION = "5.1.18"
TRIES = 3


def median(ground: Testbed) -> Measured:
    """Median schools."""
    return middle(_slice(ground, school) for school in median_schools(ground.size, TRIES))


def largest(ground: Testbed) -> Measured:
    """The largest school."""
    return middle(_slice(ground, largest_school()) for _ in range(TRIES))


def _slice(ground: Testbed, school: int) -> Measured:
    env = {**ground.libpq, "PGDATABASE": shard_of(ground, school), "PGSSLMODE": "disable"}
    schema = _schema(ground, env)
    root = ("--root", "public.enrollments", f"classroom_id IN ({classrooms_of(ground, school)})")
    words = (_program(), "dump", "--jobs=2", f"--output={ground.folder}/slice.zip", f"--schema={schema}", *root)
    return measure(words, ground.cluster, env=env)


def _schema(ground: Testbed, env: Mapping[str, str]) -> Path:
    """What slice-db found of the shard's tables, with the edges that have no foreign key, and only downward."""
    path = ground.folder / "slice-schema.json"
    if not path.exists():
        measure([_program(), "schema", f"--output={path}"], ground.cluster, env=env)
        found = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(completed(found)), encoding="utf-8")
    return path


def completed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A schema whose references are exactly those by which a school's rows are found."""
    references = {
        f"public.{table}.{path.up[0][0]}": {
            "columns": [path.up[0][0]],
            "directions": ["reverse"],
            "referenceColumns": ["id"],
            "referenceTable": f"public.{path.up[0][1]}",
            "table": f"public.{table}",
        }
        for table, path in PATHS.items()
        if path.up
    }
    return {**schema, "references": references}


def _program() -> Path:
    """slice-db in an environment of its own: nothing here depends on it."""
    folder = home() / f"slice-db-{VERSION}"
    if not (folder / "bin" / "slicedb").exists():
        _run(sys.executable, "-m", "venv", folder)
        _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", f"slice-db=={VERSION}", "setuptools<81")
    return folder / "bin" / "slicedb"


def _run(*words: str | Path) -> None:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise CutoverError(f"Installing slice-db failed: {' / '.join(done.stderr.strip().splitlines()[-1:])}")

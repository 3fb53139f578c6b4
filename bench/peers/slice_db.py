"""slice-db from PyPI: dumps the shard rows of a school to a zip, as a complete process with two jobs."""

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


def median(testbed: Testbed) -> Measured:
    """Dump median schools."""
    return middle(_slice(testbed, school) for school in median_schools(testbed.size, TRIES))


def largest(testbed: Testbed) -> Measured:
    """Dump the largest school."""
    return middle(_slice(testbed, largest_school()) for _ in range(TRIES))


def _slice(testbed: Testbed, school: int) -> Measured:
    env = {**testbed.libpq, "PGDATABASE": shard_of(testbed, school), "PGSSLMODE": "disable"}
    schema = _schema(testbed, env)
    root = ("--root", "public.enrollments", f"classroom_id IN ({classrooms_of(testbed, school)})")
    words = (_program(), "dump", "--jobs=2", f"--output={testbed.folder}/slice.zip", f"--schema={schema}", *root)
    return measure(words, testbed.cluster, env=env)


def _schema(testbed: Testbed, env: Mapping[str, str]) -> Path:
    """Write slice-db's schema of the shard, with references that have no foreign key, in downward direction only."""
    path = testbed.folder / "slice-schema.json"
    if not path.exists():
        measure([_program(), "schema", f"--output={path}"], testbed.cluster, env=env)
        schema = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps(completed(schema)), encoding="utf-8")
    return path


def completed(schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema with exactly the references by which a school's rows are found."""
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
    """Return the program, installed in its own virtual environment: nothing here depends on it."""
    folder = home() / f"slice-db-{VERSION}"
    if not (folder / "bin" / "slicedb").exists():
        _run(sys.executable, "-m", "venv", folder)
        _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", f"slice-db=={VERSION}", "setuptools<81")
    return folder / "bin" / "slicedb"


def _run(*words: str | Path) -> None:
    done = subprocess.run([*map(str, words)], capture_output=True, text=True)
    if done.returncode:
        raise CutoverError(f"Installing slice-db failed: {' / '.join(done.stderr.strip().splitlines()[-1:])}")

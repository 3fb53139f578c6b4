"""`python -m tests.mutants`: looks at the tests as they are, then runs them under each guard that they pass."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rehearsal import processes
from tests import memory
from tests.mutants import plugin, survivors

# Cheap tests first: a guard that one stage's tests miss is done, the others stay open for the next.
STAGES = (("tests/unit",), ("tests/cases", "tests/integration", "tests/long"), ("tests/matrix",))
PROCESSES = 2


def main() -> int:
    """Run all stages, or one of pytest's arguments, and return 1 if a guard is left; interrupted, it goes on."""
    words = sys.argv[1:]
    for stage in [(*words, "--again")] if words else STAGES:
        for work in ("look", "switch"):
            _work([f"--mutants={work}", *stage])
    left = survivors.left()
    sys.stdout.write(survivors.report(left))
    return int(bool(left))


def _work(words: Sequence[str]) -> None:
    """Let processes share some work."""
    with tempfile.TemporaryDirectory(dir=memory.roomy_folder(), prefix="mutants-") as folder:
        Path(folder).chmod(0o755)  # PostgreSQL's own user is to reach it
        with ThreadPoolExecutor(PROCESSES) as pool:
            list(pool.map(lambda number: _share(words, number, Path(folder) / str(number)), range(PROCESSES)))


def _share(words: Sequence[str], number: int, home: Path) -> None:
    """Do one share of some work; a process that can't be trusted any more is followed by another."""
    command = [sys.executable, "-m", "pytest", "-n", "0", "-p", "no:cacheprovider", "-p", plugin.__name__]
    command += [f"--share={number}/{PROCESSES}", *words]
    code = plugin.BEGIN_AGAIN
    while code == plugin.BEGIN_AGAIN:
        home.mkdir(mode=0o755)
        code = subprocess.run(command, env={**os.environ, "TMPDIR": str(home)}).returncode
        _end_servers(home)


def _end_servers(home: Path) -> None:
    """End the servers that a process has left, and remove its files."""
    for folder in home.iterdir():
        processes.stop_all(folder, folder)
    shutil.rmtree(home)


if __name__ == "__main__":
    sys.exit(main())

"""Run a program and measure it: wall time, CPU, peak memory, WAL. The only module that uses psutil."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

import psutil

from bench.measured import Measured
from bench.servers import wal_position
from errors import CutoverError
from rehearsal.postgres_server import Cluster

LAST_LINES = 3  # of a failed program's output


def measure(
    words: Sequence[str | Path],
    cluster: Cluster,
    *,
    env: Mapping[str, str] | None = None,
    folder: Path | None = None,
    tells: bool = False,
) -> Measured:
    """Run a program and measure it; raise CutoverError if it fails. `tells`: its output is a JSON object of figures.

    Its memory is that of its largest process. Each starts as a copy of this process, so no figure is below this
    process's own.
    """
    wal, server = wal_position(cluster), server_cpu(cluster)
    seconds, usage, output = _ended([*map(str, words)], env, folder)
    return Measured(
        seconds=seconds,
        cpu=usage.ru_utime + usage.ru_stime,
        server_cpu=server_cpu(cluster) - server,
        peak=usage.ru_maxrss * 1024,
        wal=wal_position(cluster) - wal,
        figures=json.loads(output) if tells else {},
    )


def _ended(
    words: Sequence[str], env: Mapping[str, str] | None, folder: Path | None
) -> tuple[float, resource.struct_rusage, str]:
    """Run a program; return its seconds, its resource usage with all children, and its output."""
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as complaints:
        began = time.monotonic()
        process = subprocess.Popen(words, stdout=output, stderr=complaints, env=env, cwd=folder)
        try:
            _, status, usage = os.wait4(process.pid, 0)
        except BaseException:
            process.kill()
            raise
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            reason = " / ".join((_text(complaints) or _text(output)).strip().splitlines()[-LAST_LINES:])
            raise CutoverError(f"{Path(words[0]).name} failed with exit code {process.returncode}: {reason}")
        return seconds, usage, _text(output)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def server_cpu(cluster: Cluster) -> float:
    """Return the CPU seconds used by a PostgreSQL server's processes, including those that have ended."""
    postmaster = psutil.Process(int((cluster.data / "postmaster.pid").read_text().split()[0]))
    ended = postmaster.cpu_times()
    seconds = ended.user + ended.system + ended.children_user + ended.children_system
    for process in postmaster.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            seconds += times.user + times.system
    return float(seconds)

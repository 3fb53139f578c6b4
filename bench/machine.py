"""The machine and versions of a run: figures are comparable only on the same ones."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from bench.places import ROOT
from rehearsal.postgres_programs import installed

GIB = 1 << 30


def facts() -> Mapping[str, str]:
    """Return the machine, the versions and the commit, as text by name."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
        "machine": f"{os.cpu_count()} cores ({_processor()}), {_memory() / GIB:.0f} GiB of memory",
        "kernel": f"{platform.system()} {platform.release()}",
        "PostgreSQL": _output(installed() / "postgres", "--version").split()[2],
        "Python": platform.python_version(),
        "commit": _commit(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(": ")[1] for line in lines if line.startswith("model name")), platform.machine())


def _memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _commit() -> str:
    """Return the commit, marked if there are uncommitted changes."""
    commit = _output("git", "rev-parse", "--short=12", "HEAD")
    return (
        f"{commit}, with uncommitted changes"
        if commit and _output("git", "status", "--porcelain")
        else commit or "unknown"
    )


def _output(*words: str | Path) -> str:
    done = subprocess.run([*map(str, words)], cwd=ROOT, capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else ""

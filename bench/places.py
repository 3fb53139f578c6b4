"""Where the bench keeps what it need not make again, and what a run leaves behind."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rehearsal.postgres_programs import OPEN_FOLDER, needs_other_place

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def home() -> Path:
    """The bench's folder: BENCH_HOME, else `.bench` of the project, or where the servers' user can reach it."""
    chosen = os.environ.get("BENCH_HOME")
    folder = Path(chosen) if chosen else ROOT / ".bench"
    if needs_other_place(folder):
        folder = Path(tempfile.gettempdir()) / "cutover-bench"
    folder.mkdir(mode=OPEN_FOLDER, parents=True, exist_ok=True)
    return folder.resolve()

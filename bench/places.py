"""The bench's folders: for data that is made once, and for results."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from inventory.private_folder import private_folder
from rehearsal.postgres_programs import OPEN_FOLDER, needs_other_place

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"


def home() -> Path:
    """Return the bench's folder: BENCH_HOME, else the project's `.bench`, or one that the servers' user can reach."""
    chosen = os.environ.get("BENCH_HOME")
    folder = Path(chosen) if chosen else ROOT / ".bench"
    if needs_other_place(folder):
        folder = Path(tempfile.gettempdir()) / "cutover-bench"
    return private_folder(folder, OPEN_FOLDER).resolve()

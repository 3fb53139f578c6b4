"""A checkout of this tool on a host of the lab, as on a real debug host: its code and inventory are its own."""

from __future__ import annotations

import shutil
from pathlib import Path

ROOMS = ("archiver", "inventory", "platforms", "rehearsal", "runbooks")
BESIDE = ("tasks.py", "errors.py", "formatting.py")


def check_out(root: Path, folder: Path) -> None:
    """Copy the tool; compiled files come along, as their sources keep their times, so its first start is no slower."""
    folder.mkdir(parents=True)
    for room in ROOMS:
        shutil.copytree(root / room, folder / room)
    for name in BESIDE:
        shutil.copy2(root / name, folder)

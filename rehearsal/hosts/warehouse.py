"""`warehouse rebuild|status`: the rebuild of this data warehouse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rehearsal.files import write_json
from rehearsal.hosts.command import Here, alone, main, now

NEVER = {"state": "never", "finished_at": None}


def rebuild(here: Here, words: Sequence[str]) -> str:
    """Rebuilds it; there is nothing in it here, so this takes no time."""
    alone(words)
    write_json(_record(here), {"state": "finished", "finished_at": now()})
    return ""


def status(here: Here, words: Sequence[str]) -> str:
    """When the last rebuild finished, as JSON."""
    alone(words)
    record = _record(here)
    return json.dumps(json.loads(record.read_text(encoding="utf-8")) if record.exists() else NEVER)


def _record(here: Here) -> Path:
    return here.home / "rebuild.json"


if __name__ == "__main__":
    main("warehouse", {"rebuild": rebuild, "status": status})

"""`warehouse rebuild|status`: the rebuild of this data warehouse."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rehearsal.files import write_json
from rehearsal.hosts.command import ThisHost, main, no_arguments, now

NEVER = {"state": "never", "finished_at": None}


def rebuild(host: ThisHost, words: Sequence[str]) -> str:
    """Rebuild the warehouse; in the lab it is empty, so this takes no time."""
    no_arguments(words)
    write_json(_record(host), {"state": "finished", "finished_at": now()})
    return ""


def status(host: ThisHost, words: Sequence[str]) -> str:
    """Return when the last rebuild finished, as JSON."""
    no_arguments(words)
    record = _record(host)
    return json.dumps(json.loads(record.read_text(encoding="utf-8")) if record.exists() else NEVER)


def _record(host: ThisHost) -> Path:
    return host.home / "rebuild.json"


if __name__ == "__main__":
    main("warehouse", {"rebuild": rebuild, "status": status})

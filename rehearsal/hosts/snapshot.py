"""`snapshot create|status`: a copy of this database server's files from which a server could be started."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rehearsal.hosts.command import Here, alone, finished, main, newest, stamp
from rehearsal.postgres_server import base_backup


def create(here: Here, words: Sequence[str]) -> str:
    """Takes a snapshot into ~/snapshots, after a checkpoint; its id."""
    alone(words)
    target = _folder(here) / f"snap-{stamp()}"
    part = target.with_name(f".{target.name}")
    target.parent.mkdir(exist_ok=True)
    base_backup(here.lab.primary(here.database), part)
    part.rename(target)
    return target.name


def status(here: Here, words: Sequence[str]) -> str:
    """The newest snapshot as JSON; {} where there is none."""
    alone(words)
    snapshot = newest(_folder(here))
    if snapshot is None:
        return "{}"
    at = finished(snapshot / "backup_manifest")
    return json.dumps({"id": snapshot.name, "state": "completed", "finished_at": at})


def _folder(here: Here) -> Path:
    return here.home / "snapshots"


if __name__ == "__main__":
    main("snapshot", {"create": create, "status": status})

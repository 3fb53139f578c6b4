"""`snapshot create|status`: a copy of this database server's files from which a server could be started."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rehearsal.hosts.command import ThisHost, finished, main, newest, no_arguments, stamp
from rehearsal.postgres_server import base_backup


def create(host: ThisHost, words: Sequence[str]) -> str:
    """Take a snapshot into ~/snapshots, after a checkpoint, and return its id."""
    no_arguments(words)
    target = _folder(host) / f"snap-{stamp()}"
    part = target.with_name(f".{target.name}")
    target.parent.mkdir(exist_ok=True)
    base_backup(host.lab.primary(host.database), part)
    part.rename(target)
    return target.name


def status(host: ThisHost, words: Sequence[str]) -> str:
    """Return the newest snapshot as JSON; {} if there is none."""
    no_arguments(words)
    snapshot = newest(_folder(host))
    if snapshot is None:
        return "{}"
    at = finished(snapshot / "backup_manifest")
    return json.dumps({"id": snapshot.name, "state": "completed", "finished_at": at})


def _folder(host: ThisHost) -> Path:
    return host.home / "snapshots"


if __name__ == "__main__":
    main("snapshot", {"create": create, "status": status})

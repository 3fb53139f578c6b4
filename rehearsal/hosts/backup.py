"""`backup dump|status|transfer|stored`: base backups of this database server, on it and in the store."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from errors import CutoverError
from rehearsal.hosts.command import ThisHost, finished, main, newest, no_arguments, stamp
from rehearsal.postgres_programs import Programs
from rehearsal.postgres_server import base_backup

BASE, WAL, MANIFEST = "base.tar", "pg_wal.tar", "backup_manifest"
LOOKS_INTO_TAR = 18  # the first version whose pg_verifybackup reads tar files


def dump(host: ThisHost, words: Sequence[str]) -> str:
    """Take a backup into ~/backups/<UTC time>; it gets that name only once it is complete."""
    no_arguments(words)
    target = _folder(host) / stamp()
    part = target.with_name(f".{target.name}")
    target.parent.mkdir(exist_ok=True)
    base_backup(host.lab.primary(host.database), part, "--format=tar")
    part.rename(target)
    return str(target)


def status(host: ThisHost, words: Sequence[str]) -> str:
    """Return the newest backup as JSON, checked by pg_verifybackup now; {} if there is none."""
    no_arguments(words)
    backup = newest(_folder(host))
    if backup is None:
        return "{}"
    return json.dumps(
        {
            "path": str(backup),
            "sha256": _sha256(backup / BASE),
            "finished_at": finished(backup / MANIFEST),
            "verified": verified(host.lab.programs, backup),
        }
    )


def transfer(host: ThisHost, words: Sequence[str]) -> str:
    """Copy the newest backup to the store; harmless if repeated."""
    from rehearsal.hosts import copies  # not at the top: `backup status`, which a night asks often, needs no HTTP

    no_arguments(words)
    backup = newest(_folder(host))
    if backup is None:
        raise CutoverError(f"There is no backup on {host.name} to transfer.", hint="backup dump")
    for name in (WAL, MANIFEST, BASE):  # the base last: if it is there, the rest is too
        copies.put(host, f"{backup.name}/{name}", backup / name)
    return copies.location(host, f"{backup.name}/{BASE}")


def stored(host: ThisHost, words: Sequence[str]) -> str:
    """Return the newest stored copy as JSON, fetched and hashed now; {} if there is none."""
    from rehearsal.hosts import copies  # as above

    no_arguments(words)
    for backup in copies.folders(host):
        if digest := copies.sha256(host, f"{backup}/{BASE}"):
            return json.dumps({"location": copies.location(host, f"{backup}/{BASE}"), "sha256": digest})
    return "{}"


def verified(programs: Programs, backup: Path) -> bool:
    """True if pg_verifybackup finds every file of the backup unchanged."""
    try:
        if programs.version >= LOOKS_INTO_TAR:
            programs.run("pg_verifybackup", "--no-parse-wal", str(backup))
        else:
            _verify_unpacked(programs, backup)
    except CutoverError:
        return False
    return True


def _verify_unpacked(programs: Programs, backup: Path) -> None:
    import tempfile  # needed here only

    with tempfile.TemporaryDirectory(prefix=".verify-", dir=backup.parent) as folder:
        for name, into in ((BASE, folder), (WAL, f"{folder}/pg_wal")):
            programs.run("tar", "-xf", str(backup / name), "-C", into)
        shutil.copy(backup / MANIFEST, folder)
        programs.run("pg_verifybackup", folder)


def _folder(host: ThisHost) -> Path:
    return host.home / "backups"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    main("backup", {"dump": dump, "status": status, "transfer": transfer, "stored": stored})

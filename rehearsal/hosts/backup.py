"""`backup dump|status|transfer|stored`: base backups of this database server, here and in the store."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from errors import CutoverError
from rehearsal.blueprint import BACKUPS
from rehearsal.hosts.command import Here, alone, finished, main, newest, stamp
from rehearsal.postgres_programs import Programs
from rehearsal.postgres_server import base_backup

if TYPE_CHECKING:
    from archiver.store.bucket import Bucket

BASE, WAL, MANIFEST = "base.tar", "pg_wal.tar", "backup_manifest"
LOOKS_INTO_TAR = 18  # the first version whose pg_verifybackup does


def dump(here: Here, words: Sequence[str]) -> str:
    """Takes a backup into ~/backups/<UTC time>, which has its name only when it is whole."""
    alone(words)
    target = _folder(here) / stamp()
    part = target.with_name(f".{target.name}")
    target.parent.mkdir(exist_ok=True)
    base_backup(here.lab.primary(here.database), part, "--format=tar")
    part.rename(target)
    return str(target)


def status(here: Here, words: Sequence[str]) -> str:
    """The newest backup as JSON, checked by pg_verifybackup now; {} where there is none."""
    alone(words)
    backup = newest(_folder(here))
    if backup is None:
        return "{}"
    return json.dumps(
        {
            "path": str(backup),
            "sha256": _sha256(backup / BASE),
            "finished_at": finished(backup / MANIFEST),
            "verified": verified(here.lab.programs, backup),
        }
    )


def transfer(here: Here, words: Sequence[str]) -> str:
    """Copies the newest backup to the store, with its SHA-256; once is enough."""
    from archiver.store.bucket import file_digests  # boto3 takes long to import, and only the store needs it

    alone(words)
    backup = newest(_folder(here))
    if backup is None:
        raise CutoverError(f"There is no backup on {here.name} to transfer.", hint="backup dump")
    bucket = _bucket(here)
    for name in (WAL, MANIFEST, BASE):  # the base last: where it is, the rest is
        bucket.put(f"{backup.name}/{name}", backup / name, file_digests(backup / name))
    return bucket.location(f"{backup.name}/{BASE}")


def stored(here: Here, words: Sequence[str]) -> str:
    """The newest stored copy as JSON, fetched and hashed now; {} where there is none."""
    alone(words)
    bucket = _bucket(here)
    keys = sorted(key for key in bucket.keys() if key.endswith(f"/{BASE}"))  # noqa: SIM118 - a bucket's keys
    if not keys:
        return "{}"
    with tempfile.TemporaryDirectory(dir=here.home) as folder:
        digests = bucket.get(keys[-1], Path(folder) / BASE)
    return json.dumps({"location": bucket.location(keys[-1]), "sha256": digests.sha256})


def verified(programs: Programs, backup: Path) -> bool:
    """Whether pg_verifybackup finds every file of the backup as it was."""
    try:
        if programs.version >= LOOKS_INTO_TAR:
            programs.run("pg_verifybackup", "--no-parse-wal", str(backup))
        else:
            _verify_unpacked(programs, backup)
    except CutoverError:
        return False
    return True


def _verify_unpacked(programs: Programs, backup: Path) -> None:
    with tempfile.TemporaryDirectory(prefix=".verify-", dir=backup.parent) as folder:
        for name, into in ((BASE, folder), (WAL, f"{folder}/pg_wal")):
            programs.run("tar", "-xf", str(backup / name), "-C", into)
        shutil.copy(backup / MANIFEST, folder)
        programs.run("pg_verifybackup", folder)


def _folder(here: Here) -> Path:
    return here.home / "backups"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _bucket(here: Here) -> Bucket:
    from archiver.store.bucket import Bucket  # see transfer
    from inventory.model import Store

    lab = here.lab
    credentials = str(lab.layout.credentials)
    return Bucket(
        Store(bucket=BACKUPS, prefix=here.name, region=lab.region, endpoint=lab.store.endpoint, credentials=credentials)
    )


if __name__ == "__main__":
    main("backup", {"dump": dump, "status": status, "transfer": transfer, "stored": stored})

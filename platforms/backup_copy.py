"""The stored copy of a backup: every file with its SHA-256, the list of them last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from archiver.storage import Bucket, Digests, file_digests
from errors import DamagedError
from inventory.model import Backups
from platforms.backup import LIST, Backup, File

Tell = Callable[[str], None]
EVERY = 100  # files, so many between two lines


def send(backup: Backup, backups: Backups, tell: Tell) -> str:
    """Stores every file that is not stored yet, then the list; where the list lies.

    Raises DamagedError where a file is not what was verified, StorageError where the store fails.
    """
    bucket, below = Bucket(backups.store), _folder(backup)
    there = {stored.location for stored in bucket.objects(f"{below}/")}

    def store(file: File) -> None:
        if bucket.location(f"{below}/{file.path}") not in there or bucket.sha256(f"{below}/{file.path}") != file.sha256:
            bucket.put(f"{below}/{file.path}", backup.folder / file.path, _proven(backup, file))

    with ThreadPoolExecutor(backups.jobs) as pool:
        for number, _ in enumerate(pool.map(store, backup.files), start=1):
            if number % EVERY == 0 or number == len(backup.files):
                tell(f"{backup.database}: {number:,} of {len(backup.files):,} files are stored")
    bucket.put(f"{below}/{LIST}", backup.list_file, file_digests(backup.list_file))
    return bucket.location(f"{below}/{LIST}")


def newest_stored(backups: Backups, database: str) -> dict[str, str]:
    """Where the newest stored copy lies, and the SHA-256 of the list that came back; empty where there is none.

    Raises DamagedError where a file of the list is missing there, or is of another size.
    """
    bucket = Bucket(backups.store)
    lists = sorted(key for key in bucket.keys(f"{database}/") if key.endswith(f"/{LIST}"))
    if not lists:
        return {}
    text = bucket.text(lists[-1]) or ""
    if lacking := list(_lacking(bucket, lists[-1].removesuffix(LIST), text)):
        where = bucket.location(lists[-1])
        raise DamagedError(f"The stored copy {where} lacks {len(lacking)} of its files, the first is {lacking[0]}.")
    return {"location": bucket.location(lists[-1]), "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _lacking(bucket: Bucket, below: str, text: str) -> Iterator[str]:
    sizes = {stored.location: stored.size for stored in bucket.objects(below)}
    for file in json.loads(text)["files"]:
        if sizes.get(bucket.location(f"{below}{file['path']}")) != file["size"]:
            yield file["path"]


def _proven(backup: Backup, file: File) -> Digests:
    """The digests of a file that is still what was verified."""
    digests = file_digests(backup.folder / file.path)
    if digests.sha256 != file.sha256:
        raise DamagedError(
            f"{backup.folder / file.path} has changed since it was verified.", hint="Take another backup."
        )
    return digests


def _folder(backup: Backup) -> str:
    return f"{backup.database}/{backup.name}"

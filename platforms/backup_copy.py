"""The stored copy of a backup: every file with its SHA-256, the list of them last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from archiver.store.bucket import Bucket, Digests, file_digests
from errors import DamagedError
from inventory.model import Backups
from platforms.backup import Backup, File

OnLine = Callable[[str], None]
JSON = ".json"  # what a list is called, behind its backup's name
EVERY = 100  # files, so many between two lines


def send(backup: Backup, backups: Backups, on_line: OnLine) -> str:
    """Stores every file that is not stored yet, then the list; where the list lies.

    Raises DamagedError where a file is not what was verified, StorageError where the store fails.
    """
    bucket, below = Bucket(backups.store), _files(backup.database, backup.name)
    there = {stored.location for stored in bucket.objects(below)}

    def store(file: File) -> None:
        key = below + file.path
        if bucket.location(key) not in there or bucket.sha256(key) != file.sha256:
            bucket.put(key, backup.folder / file.path, _proven(backup, file))

    for number, _ in enumerate(_side_by_side(store, backup.files, backups.jobs), start=1):
        if number % EVERY == 0 or number == len(backup.files):
            on_line(f"{backup.database}: {number:,} of {len(backup.files):,} files are stored")
    key = f"{_lists(backup.database)}{backup.name}{JSON}"
    bucket.put(key, backup.list_file, file_digests(backup.list_file))
    return bucket.location(key)


def newest_stored(backups: Backups, database: str) -> dict[str, str]:
    """Where the newest stored copy lies, and the SHA-256 of the list that came back; empty where there is none.

    Raises DamagedError where a file of the list is missing there, or is of another size.
    """
    bucket = Bucket(backups.store)
    lists = sorted(bucket.keys(_lists(database)))
    if not lists:
        return {}
    where, text = bucket.location(lists[-1]), bucket.text(lists[-1]) or ""
    name = lists[-1].removeprefix(_lists(database)).removesuffix(JSON)
    if lacking := list(_lacking(bucket, _files(database, name), text)):
        raise DamagedError(f"The stored copy {where} lacks {len(lacking)} of its files, the first is {lacking[0]}.")
    return {"location": where, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _lists(database: str) -> str:
    """Where the lists lie, apart from the files: looking for the newest need not look through all of those."""
    return f"{database}/lists/"


def _files(database: str, name: str) -> str:
    """Where a backup's files lie."""
    return f"{database}/files/{name}/"


def _side_by_side(do: Callable[[File], None], files: Sequence[File], jobs: int) -> Iterator[None]:
    """Does something for each file, some at a time; where one fails, those that wait are let be."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield from pool.map(do, files)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _lacking(bucket: Bucket, below: str, text: str) -> Iterator[str]:
    sizes = {stored.location: stored.size for stored in bucket.objects(below)}
    for file in json.loads(text)["files"]:
        if sizes.get(bucket.location(below + file["path"])) != file["size"]:
            yield file["path"]


def _proven(backup: Backup, file: File) -> Digests:
    """The digests of a file that is still what was verified."""
    digests = file_digests(backup.folder / file.path)
    if digests.sha256 != file.sha256:
        raise DamagedError(
            f"{backup.folder / file.path} has changed since it was verified.", hint="Take another backup."
        )
    return digests

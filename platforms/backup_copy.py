"""The stored copy of a backup: every file with its SHA-256, and the list of files last."""

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
JSON = ".json"  # suffix of a list's key, after its backup's name
EVERY = 100  # files between two progress lines


def send(backup: Backup, backups: Backups, on_line: OnLine) -> str:
    """Store every file that is not stored yet, then the list; return the list's location.

    Raises DamagedError if a file has changed since it was verified, StorageError if the store fails.
    """
    bucket, prefix = Bucket(backups.store), _files(backup.database, backup.name)
    stored_locations = {stored.location for stored in bucket.objects(prefix)}

    def store(file: File) -> None:
        key = prefix + file.path
        if bucket.location(key) not in stored_locations or bucket.sha256(key) != file.sha256:
            bucket.put(key, backup.folder / file.path, _digests(backup, file))

    for number, _ in enumerate(_in_parallel(store, backup.files, backups.jobs), start=1):
        if number % EVERY == 0 or number == len(backup.files):
            on_line(f"{backup.database}: {number:,} of {len(backup.files):,} files are stored")
    key = f"{_lists(backup.database)}{backup.name}{JSON}"
    bucket.put(key, backup.list_file, file_digests(backup.list_file))
    return bucket.location(key)


def newest_stored(backups: Backups, database: str) -> dict[str, str]:
    """Return the location of the newest stored copy and the SHA-256 of its list as fetched; empty if there is none.

    Raises DamagedError if a listed file is missing in the store, or has another size.
    """
    bucket = Bucket(backups.store)
    lists = sorted(bucket.keys(_lists(database)))
    if not lists:
        return {}
    location, text = bucket.location(lists[-1]), bucket.text(lists[-1]) or ""
    name = lists[-1].removeprefix(_lists(database)).removesuffix(JSON)
    if missing := list(_missing(bucket, _files(database, name), text)):
        raise DamagedError(f"The stored copy {location} lacks {len(missing)} of its files, the first is {missing[0]}.")
    return {"location": location, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def _lists(database: str) -> str:
    """Return the prefix of the lists, apart from the files: finding the newest need not list all files."""
    return f"{database}/lists/"


def _files(database: str, name: str) -> str:
    """Return the prefix of a backup's files."""
    return f"{database}/files/{name}/"


def _in_parallel(do: Callable[[File], None], files: Sequence[File], jobs: int) -> Iterator[None]:
    """Call `do` for each file, `jobs` at a time; if one fails, cancel those not started."""
    with ThreadPoolExecutor(jobs) as pool:
        try:
            yield from pool.map(do, files)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _missing(bucket: Bucket, prefix: str, text: str) -> Iterator[str]:
    sizes = {stored.location: stored.size for stored in bucket.objects(prefix)}
    for file in json.loads(text)["files"]:
        if sizes.get(bucket.location(prefix + file["path"])) != file["size"]:
            yield file["path"]


def _digests(backup: Backup, file: File) -> Digests:
    """Return the digests of a file; raise DamagedError if it has changed since it was verified."""
    digests = file_digests(backup.folder / file.path)
    if digests.sha256 != file.sha256:
        raise DamagedError(
            f"{backup.folder / file.path} has changed since it was verified.", hint="Take another backup."
        )
    return digests

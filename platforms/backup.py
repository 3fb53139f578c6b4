"""A database server backed up by PostgreSQL's own programs: whole and verified, or without a name."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from errors import CutoverError, LockedError
from inventory.model import Backups, Database, Way
from platforms.backup_programs import TAKE, VERIFY, Programs

LIST, DATA = "backup.json", "data"  # what lies in a backup's folder
NAMES = "[0-9]*T[0-9]*.[0-9]*Z"  # how a backup is called: the moment, in UTC
PART = ".part"  # what an unfinished one is called, behind its name
OnLine = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a backup."""

    path: str  # below the backup's folder
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A verified backup, as the list in its folder has it."""

    folder: Path
    way: Way
    database: str
    as_of: datetime  # what was committed by then is in it
    files: tuple[File, ...]
    empty: tuple[str, ...]  # folders without a file, which PostgreSQL wants all the same

    @property
    def name(self) -> str:
        """Its name, which sorts by time."""
        return self.folder.name

    @property
    def list_file(self) -> Path:
        """The list of its files, the last that is written of it."""
        return self.folder / LIST

    @property
    def sha256(self) -> str:
        """The SHA-256 of the list, and so of everything in it."""
        return _sha256(self.list_file)

    @property
    def untouched(self) -> bool:
        """Whether every file has its size, and none was written since the backup was verified."""
        sealed = self.list_file.stat().st_mtime_ns
        return all(_is_as_listed(self.folder / file.path, file.size, sealed) for file in self.files)

    def to_json(self) -> dict[str, object]:
        """What proves step 5."""
        return {
            "path": str(self.folder),
            "sha256": self.sha256,
            "finished_at": self.as_of.isoformat(),
            "verified": self.untouched,
        }


def take(backups: Backups, database: Database, on_line: OnLine) -> Backup:
    """Takes a backup into the database's backup_directory, verifies it, and only then gives it its name.

    Raises LockedError where another is being taken there, CutoverError where a program fails.
    """
    home = home_of(database)
    with _alone(home) as lock:
        _sweep(home)
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        part = home / f"{name}{PART}"
        part.mkdir(mode=0o700)
        programs = Programs(backups, database.connection, lock)
        on_line(f"{database.name}: taking a backup ({backups.way.value}) into {home / name}")
        begun = datetime.now(UTC)
        TAKE[backups.way](programs, part / DATA)
        # A dump is of the moment at which it was begun, a base backup of that at which it ended.
        as_of = begun if backups.way is Way.DUMP else datetime.now(UTC)
        on_line(f"{database.name}: verifying it")
        VERIFY[backups.way](programs, part / DATA)
        _seal(part, backups.way, database.name, as_of)
        part.rename(home / name)
        _flush(home)
        return _read(home / name)


def newest(database: Database) -> Backup | None:
    """The newest backup of a database here; none where there is none. CutoverError where its list can't be read."""
    lists = sorted(home_of(database).glob(f"{NAMES}/{LIST}"))
    return _read(lists[-1].parent) if lists else None


def home_of(database: Database) -> Path:
    """Where a database's backups lie."""
    return Path(database.backup_directory or "") / database.name


def _seal(part: Path, way: Way, database: str, as_of: datetime) -> None:
    """Writes the list of all files, which the disk has before the backup has its name."""
    paths = sorted(path for path in part.rglob("*") if path.is_file())
    empty = sorted(path for path in part.rglob("*") if path.is_dir() and not any(path.iterdir()))
    data = {
        "way": way.value,
        "database": database,
        "as_of": as_of.isoformat(),
        "files": [asdict(_file(path, part)) for path in paths],
        "empty": [str(path.relative_to(part)) for path in empty],
    }
    with (part / LIST).open("x", encoding="utf-8") as file:
        json.dump(data, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    _flush(part)


def _read(folder: Path) -> Backup:
    try:
        data = json.loads((folder / LIST).read_text(encoding="utf-8"))
        return Backup(
            folder=folder,
            way=Way(data["way"]),
            database=data["database"],
            as_of=datetime.fromisoformat(data["as_of"]),
            files=tuple(File(**each) for each in data["files"]),
            empty=tuple(data["empty"]),
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CutoverError(f"Reading the list of the backup {folder} failed: {type(error).__name__}.") from error


def _file(path: Path, folder: Path) -> File:
    return File(path=str(path.relative_to(folder)), size=path.stat().st_size, sha256=_sha256(path))


def _is_as_listed(path: Path, size: int, sealed: int) -> bool:
    try:
        found = path.stat()
    except OSError:
        return False
    return found.st_size == size and found.st_mtime_ns <= sealed


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(home: Path) -> Iterator[int]:
    """Holds the folder of a database's backups; programs that are given the lock hold it until they end, too."""
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(home, os.O_RDONLY)
        try:
            _lock(lock, home)
            yield lock
        finally:
            os.close(lock)
    except OSError as error:
        hint = "Is there room, and may this user write there? backup_directory in the inventory names the place."
        raise CutoverError(f"Working in {home} failed: {error.strerror or error}.", hint=hint) from error


def _lock(lock: int, home: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(f"Another backup is being taken into {home}.", hint="Wait for its end.") from None


def _sweep(home: Path) -> None:
    """Removes what a killed run left unfinished, which never was a backup."""
    for part in home.glob(f"{NAMES}{PART}"):
        shutil.rmtree(part)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

"""Backups of a database server by PostgreSQL's own programs; only a complete, verified backup gets a name."""

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
from inventory.private_folder import private_folder
from platforms.backup_programs import TAKE, VERIFY, Programs

LIST, DATA = "backup.json", "data"  # the content of a backup's folder
NAMES = "[0-9]*T[0-9]*.[0-9]*Z"  # glob of backup names: a time in UTC
PART = ".part"  # suffix of an unfinished backup
OnLine = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class File:
    """One file of a backup."""

    path: str  # below the backup's folder
    size: int  # bytes
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A verified backup, as described by the list in its folder."""

    folder: Path
    way: Way
    database: str
    as_of: datetime  # it contains what was committed by then
    files: tuple[File, ...]
    empty: tuple[str, ...]  # folders without a file, which PostgreSQL requires

    @property
    def name(self) -> str:
        """The name, which sorts by time."""
        return self.folder.name

    @property
    def list_file(self) -> Path:
        """The list of its files, written last."""
        return self.folder / LIST

    @property
    def sha256(self) -> str:
        """The SHA-256 of the list, which contains the SHA-256 of every file."""
        return _sha256(self.list_file)

    @property
    def untouched(self) -> bool:
        """True if every file has its size, and none was written since the backup was verified."""
        verified_at = self.list_file.stat().st_mtime_ns
        return all(_is_as_listed(self.folder / file.path, file.size, verified_at) for file in self.files)

    def to_json(self) -> dict[str, object]:
        """Return the evidence for step 5 as plain data."""
        return {
            "path": str(self.folder),
            "sha256": self.sha256,
            "finished_at": self.as_of.isoformat(),
            "verified": self.untouched,
        }


def take(backups: Backups, database: Database, on_line: OnLine) -> Backup:
    """Take a backup into the database's backup_directory and verify it; only then give it its name.

    Raises LockedError if another backup is being taken there, CutoverError if a program fails.
    """
    home = home_of(database)
    with _locked(home) as lock:
        _sweep(home)
        name = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
        part = home / f"{name}{PART}"
        part.mkdir(mode=0o700)
        programs = Programs(backups, database.connection, lock)
        on_line(f"{database.name}: taking a backup ({backups.way.value}) into {home / name}")
        begun = datetime.now(UTC)
        TAKE[backups.way](programs, part / DATA)
        # A dump has the state of its start, a base backup that of its end.
        as_of = begun if backups.way is Way.DUMP else datetime.now(UTC)
        on_line(f"{database.name}: verifying it")
        VERIFY[backups.way](programs, part / DATA)
        _write_list(part, backups.way, database.name, as_of)
        part.rename(home / name)
        _flush(home)
        return _read(home / name)


def newest(database: Database) -> Backup | None:
    """Return the newest local backup of a database, or None; raise CutoverError if its list can't be read."""
    lists = sorted(home_of(database).glob(f"{NAMES}/{LIST}"))
    return _read(lists[-1].parent) if lists else None


def home_of(database: Database) -> Path:
    """Return the folder of a database's backups."""
    return Path(database.backup_directory or "") / database.name


def _write_list(part: Path, way: Way, database: str, as_of: datetime) -> None:
    """Write the list of all files, flushed to disk before the backup gets its name."""
    paths = sorted(path for path in part.rglob("*") if path.is_file())
    links = sorted(path for path in part.rglob("*") if path.is_symlink())
    empty = sorted(path for path in part.rglob("*") if path.is_dir() and path not in links and not any(path.iterdir()))
    data = {
        "way": way.value,
        "database": database,
        "as_of": as_of.isoformat(),
        "files": [asdict(_file(path, part)) for path in paths],
        "empty": [str(path.relative_to(part)) for path in empty],
        "links": {str(path.relative_to(part)): str(path.readlink()) for path in links},
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


def _is_as_listed(path: Path, size: int, verified_at: int) -> bool:
    try:
        status = path.stat()
    except OSError:
        return False
    return status.st_size == size and status.st_mtime_ns <= verified_at


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _locked(home: Path) -> Iterator[int]:
    """Lock the folder of a database's backups; programs that inherit the lock hold it until they end, too.

    Raises UsageError if other users may write there.
    """
    try:
        private_folder(home)
        lock = os.open(home, os.O_RDONLY)
        try:
            _lock(lock, home)
            yield lock
        finally:
            os.close(lock)
    except OSError as error:
        hint = "Check free space and permissions; backup_directory in the inventory names the folder."
        raise CutoverError(f"Working in {home} failed: {error.strerror or error}.", hint=hint) from error


def _lock(lock: int, home: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise LockedError(f"Another backup is being taken into {home}.", hint="Wait until it has ended.") from None


def _sweep(home: Path) -> None:
    """Remove the unfinished backups of killed runs."""
    for part in home.glob(f"{NAMES}{PART}"):
        shutil.rmtree(part)


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

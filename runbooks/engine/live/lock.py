"""One run per environment: on this machine by a lock of the kernel, between machines by notes on the shelf.

The notes are numbered, put only where none is, and never changed: each taking, take-over and release is one more, and
the last of them counts.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from errors import CutoverError, LockedError
from runbooks.engine.model.ports import ObjectStore

NOTES = "lock/"
SEE = "See inv cutover.status."


@dataclass(frozen=True, kw_only=True)
class Holder:
    """Who is at work in an environment, as it says of itself."""

    who: str
    where: str  # the machine
    pid: int
    born: str  # when machine and process began: a number of a process is used again
    what: str
    since: str

    def __str__(self) -> str:
        return f"{self.who} on {self.where}, {self.what}, since {self.since} (process {self.pid})"

    def to_json(self) -> str:
        """One line."""
        return json.dumps(asdict(self))


def born(pid: int) -> str:
    """When this machine and a process on it began, in words that only they have; empty where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"


@contextmanager
def machine_lock(path: Path, me: Holder) -> Iterator[None]:
    """Holds this machine's lock while the block runs; the kernel lets go of it when the process dies.

    Raises LockedError with what the holder says of itself.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(holder(path) or "somebody who just ended", SEE) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, me.to_json().encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(path: Path) -> str:
    """Who holds this machine's lock; empty where nobody does."""
    if not path.exists():
        return ""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                return str(Holder(**json.loads(file.read())))
            except ValueError:  # its holder is just writing it
                return "somebody who just began"
    return ""


@contextmanager
def claimed(object_store: ObjectStore, me: Holder, *, take_over: str, ousting: bool = False) -> Iterator[Holder | None]:
    """Holds the environment for all machines while the block runs; yields from whom it was taken, if from anybody.

    A holder that died on this machine is taken over from; one elsewhere only where `ousting`, which `take_over`, a
    command, stands for. Raises LockedError.
    """
    number, last = _last(object_store)
    if last and not ousting and not _is_gone(last, me):
        raise _locked(str(last), f"{SEE} If that machine is gone for good:  {take_over}")
    if not object_store.put_new(_name(number + 1), me.to_json()):
        raise _locked(str(_last(object_store)[1] or "somebody who just ended"), SEE)
    try:
        yield last
    finally:
        # Where it can't be put, or somebody took over, the last note names a process that is gone, or another.
        with suppress(CutoverError):
            object_store.put_new(_name(number + 2), "")


def claimant(object_store: ObjectStore, me: Holder) -> str:
    """Who is at work in the environment, on whatever machine; empty where nobody is."""
    _, last = _last(object_store)
    return str(last) if last and not _is_gone(last, me) else ""


def _last(object_store: ObjectStore) -> tuple[int, Holder | None]:
    """The number of the last note, and who holds the environment by it."""
    names = object_store.names(NOTES)
    if not names:
        return 0, None
    note = object_store.get(names[-1])
    return int(names[-1].removeprefix(NOTES)), Holder(**json.loads(note)) if note else None


def _name(number: int) -> str:
    return f"{NOTES}{number:08}"


def _is_gone(other: Holder, me: Holder) -> bool:
    """Whether a holder is known to be dead; of another machine nobody knows."""
    return other.where == me.where and born(other.pid) != other.born


def _locked(who: str, hint: str) -> LockedError:
    return LockedError(f"Another run is at work in this environment: {who}.", hint=hint)

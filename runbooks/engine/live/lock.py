"""One run per environment: on one machine by a kernel lock, across machines by numbered notes in the object store.

A note is put only under an unused number and never changed: each claim, take-over and release adds one, and the last
one counts.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from errors import CutoverError, LockedError
from inventory.private_folder import private_folder
from runbooks.engine.model.ports import ObjectStore

NOTES = "lock/"
SEE = "See inv cutover.status."


@dataclass(frozen=True, kw_only=True)
class Holder:
    """The run at work in an environment, as it describes itself."""

    who: str
    where: str  # the machine
    pid: int
    born: str  # when machine and process began, and where it is counted: process ids are reused
    what: str
    since: str

    def __str__(self) -> str:
        return f"{self.who} on {self.where}, {self.what}, since {self.since} (process {self.pid})"

    def to_json(self) -> str:
        """Return the holder as one line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Holder:
        """Return the holder of a note; what another version, or a damaged note, does not say is unknown."""
        said: Any = None
        with suppress(ValueError):
            said = json.loads(text)
        words = {name: str(word) for name, word in said.items()} if isinstance(said, dict) else {}
        return cls(
            who=words.get("who", "an unknown operator"),
            where=words.get("where", "an unknown machine"),
            pid=int(words["pid"]) if words.get("pid", "").isdecimal() else 0,
            born=words.get("born", ""),
            what=words.get("what", "at work"),
            since=words.get("since", "an unknown time"),
        )


def this_process() -> str:
    """Return a text that identifies this process: the machine's boot, the process's start, and its PID namespace.

    Containers of one machine share its boot, and each counts its processes by itself.
    """
    try:
        namespace = str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        namespace = ""
    return f"{born(os.getpid())} {namespace}".strip()


def born(pid: int) -> str:
    """Return a text that identifies this machine's boot and the start of a process; empty if none can be seen."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""
    return f"{boot} {stat.rpartition(')')[2].split()[19]}"


@contextmanager
def machine_lock(path: Path, me: Holder) -> Iterator[None]:
    """Hold this machine's lock within the block; the kernel releases it when the process dies.

    Raises LockedError with the holder's description of itself.
    """
    private_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise CutoverError(f"Opening the lock {path} failed: {error.strerror}.") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _locked(holder(path) or "a run that has just ended", SEE) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, me.to_json().encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        os.close(descriptor)


def holder(path: Path) -> str:
    """Return the holder of this machine's lock; empty if it is free. CutoverError if it can't be looked at."""
    try:
        if not path.exists():
            return ""
        with path.open(errors="replace") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                note = file.read()  # empty while its holder is writing it
                return str(Holder.from_json(note)) if note else "a run that has just begun"
    except OSError as error:
        raise CutoverError(f"Looking at the lock {path} failed: {error.strerror}.") from error
    return ""


@contextmanager
def claimed(object_store: ObjectStore, me: Holder, *, take_over: str, ousting: bool = False) -> Iterator[Holder | None]:
    """Hold the environment for all machines within the block; yield the holder it was taken over from, if any.

    A holder that died on this machine is taken over from; a holder on another machine only if `ousting`, which the
    command `take_over` sets. Raises LockedError.
    """
    number, last = _last(object_store)
    if last and not ousting and not _is_dead(last, me):
        raise _locked(str(last), f"{SEE} If that machine is gone for good:  {take_over}")
    if not object_store.put_new(_name(number + 1), me.to_json()):
        raise _locked(str(_last(object_store)[1] or "a run that has just ended"), SEE)
    try:
        yield last
    finally:
        # If it can't be put, or another run took over, the last note names a dead process, or that other run.
        with suppress(CutoverError):
            object_store.put_new(_name(number + 2), "")


def claimant(object_store: ObjectStore, me: Holder) -> str:
    """Return the holder of the environment, on any machine; empty if no run is at work."""
    _, last = _last(object_store)
    return str(last) if last and not _is_dead(last, me) else ""


def _last(object_store: ObjectStore) -> tuple[int, Holder | None]:
    """Return the number of the last note, and the holder it names."""
    numbers = [name.removeprefix(NOTES) for name in object_store.names(NOTES)]
    last = max((int(number) for number in numbers if number.isdecimal()), default=0)
    note = object_store.get(_name(last)) if last else None
    return last, Holder.from_json(note) if note else None


def _name(number: int) -> str:
    return f"{NOTES}{number:08}"


def _is_dead(other: Holder, me: Holder) -> bool:
    """True if a holder is known to be dead; unknown, so False, on another machine or before this one's last boot.

    Machines may share a name: only the boot says that a holder was on this one. Containers may share a machine: only
    the PID namespace says that its process would be seen here.
    """
    (boot, start, space), (own_boot, _, own_space) = _parts(other.born), _parts(me.born)
    near = other.where == me.where and boot == own_boot and space == own_space
    return near and bool(start) and _is_gone(other.pid, f"{boot} {start}")


def _parts(born: str) -> tuple[str, str, str]:
    boot, _, rest = born.partition(" ")
    start, _, space = rest.partition(" ")
    return boot, start, space


def _is_gone(pid: int, began: str) -> bool:
    if seen := born(pid):
        return seen != began
    try:
        os.kill(pid, 0)  # a machine may hide the processes of other users, but not that they are there
    except (ProcessLookupError, OverflowError):
        return True
    except OSError:
        return False
    return False


def _locked(other: str, hint: str) -> LockedError:
    return LockedError(f"Another run is at work in this environment: {other}.", hint=hint)

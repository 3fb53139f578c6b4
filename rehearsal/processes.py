"""The lab's processes: started so that they outlive their starter, found by a mark; the only door to psutil."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from errors import CutoverError
from rehearsal.waiting import await_condition

MARK = "REHEARSAL_LAB"  # environment variable of every process of a lab: its home
GONE_SECONDS = 10
EXEC_SECONDS = 10
MOST_LOOKS = 20

# The shell ends at once, so what it started belongs to init and not to us: no zombie, no signal of our terminal.
_DETACH = 'log=$1 pid=$2; shift 2; "$@" </dev/null >>"$log" 2>&1 & echo $! >"$pid"'


def spawn(
    words: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    pid_file: Path,
    folder: Path,
    pass_fds: Sequence[int] = (),
) -> None:
    """Starts a program in the background, in `folder`; its pid is in the pid file when this returns."""
    shell = ["/bin/sh", "-c", _DETACH, "sh", str(log), str(pid_file), *words]
    subprocess.run(shell, env=dict(env), cwd=folder, pass_fds=pass_fds, start_new_session=True, check=True)


def running(pid_file: Path, home: Path) -> bool:
    """Whether the process of a pid file lives and is that lab's, not a stranger with a number given out again."""
    return _of_file(pid_file, home) is not None


def serves(data: Path) -> bool:
    """Whether a PostgreSQL server works in this data directory; one that crashed has left its pid there."""
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        return _works_in(process, data)
    except (OSError, ValueError, IndexError, psutil.Error):
        return False


def stop(pid_file: Path, home: Path) -> None:
    """Ends the process of a pid file and its children, and removes the file."""
    process = _of_file(pid_file, home)
    if process is not None:
        _kill([process, *_children(process)])
    pid_file.unlink(missing_ok=True)


def stop_all(home: Path, databases: Path | None) -> None:
    """Ends every process of a lab, also those that its host commands started; CutoverError if one stays.

    `databases` is the folder of its PostgreSQL servers, which overwrite their environment and are known by where they
    work. Looks until nothing is left, twice: a process may start another, or become another program, just then.
    """
    empty_looks = 0
    for _ in range(MOST_LOOKS):
        found = list(of_lab(home, databases))
        empty_looks = 0 if found else empty_looks + 1
        if empty_looks == 2:
            return
        _quit_postmasters(found)
        _kill(found)
    names = ", ".join(str(process.pid) for process in of_lab(home, databases))
    raise CutoverError(f"Ending the processes of {home} failed: {names} stay.", hint="Were they started by root?")


def of_lab(home: Path, databases: Path | None) -> Iterator[psutil.Process]:
    """The living processes of a lab."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if _marked(process, home) or (databases is not None and _works_in(process, databases)):
                yield process


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _of_file(pid_file: Path, home: Path) -> psutil.Process | None:
    try:
        process = psutil.Process(int(pid_file.read_text()))
        _await_environment(process)
        return process if _marked(process, home) else None
    except (OSError, ValueError, psutil.Error):
        return None


def _await_environment(process: psutil.Process) -> None:
    """A process that is just becoming another program has no environment for a moment."""
    with suppress(CutoverError):
        await_condition(process.environ, doing="Reading an environment", seconds=EXEC_SECONDS)


def _marked(process: psutil.Process, home: Path) -> bool:
    return process.environ().get(MARK) == str(home) and process.status() != psutil.STATUS_ZOMBIE


def _works_in(process: psutil.Process, databases: Path) -> bool:
    return process.name() == "postgres" and Path(process.cwd()).is_relative_to(databases)


def _quit_postmasters(found: Sequence[psutil.Process]) -> None:
    """Lets PostgreSQL servers end by themselves first: they give their shared memory back."""
    postmasters = [process for process in found if _is_postmaster(process)]
    _send(postmasters, signal.SIGQUIT)
    with suppress(CutoverError):
        _await_end(postmasters)


def _is_postmaster(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        parent = process.parent()
        return process.name() == "postgres" and (parent is None or parent.name() != "postgres")
    return False


def _kill(found: Sequence[psutil.Process]) -> None:
    _send(found, signal.SIGKILL)
    _await_end(found)


def _send(found: Sequence[psutil.Process], what: signal.Signals) -> None:
    for process in found:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(what)


def _await_end(found: Sequence[psutil.Process]) -> None:
    await_condition(lambda: not any(map(_lives, found)), doing="Ending processes", seconds=GONE_SECONDS)


def _lives(process: psutil.Process) -> bool:
    """Whether it still runs: one that init has not yet buried does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

"""The lab's processes: they outlive their starter, and are recognized by a mark; the only importer of psutil."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

from errors import CutoverError
from rehearsal.layout import MARK
from rehearsal.waiting import await_condition

GONE_SECONDS = 10
EXEC_SECONDS = 10
MOST_LOOKS = 20

# The shell ends at once, so that its child belongs to init: no zombie of ours, no signal from our terminal.
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
    """Start a program in the background, in `folder`; its pid is in the pid file when this returns."""
    shell = ["/bin/sh", "-c", _DETACH, "sh", str(log), str(pid_file), *words]
    subprocess.run(shell, env=dict(env), cwd=folder, pass_fds=pass_fds, start_new_session=True, check=True)


def running(pid_file: Path, home: Path) -> bool:
    """True if the process of a pid file is alive and that lab's, not a stranger that got the same number."""
    return _of_file(pid_file, home) is not None


def serves(data: Path) -> bool:
    """True if a PostgreSQL server works in this data directory; one that crashed has left its pid there."""
    try:
        process = psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))
        return _works_in(process, data)
    except (OSError, ValueError, IndexError, psutil.Error):
        return False


def stop(pid_file: Path, home: Path) -> None:
    """End the process of a pid file and its children, and remove the file."""
    process = _of_file(pid_file, home)
    if process is not None:
        _kill([process, *_children(process)])
    pid_file.unlink(missing_ok=True)


def stop_all(home: Path, databases: Path | None) -> None:
    """End every process of a lab, including those that its host commands started; CutoverError if one remains.

    `databases` is the folder of its PostgreSQL servers, which overwrite their environment and are recognized by their
    working directory. Looks until nothing is left, twice: a process may just be starting another, or a new program.
    """
    empty_looks = 0
    for _ in range(MOST_LOOKS):
        lab_processes = list(of_lab(home, databases))
        empty_looks = 0 if lab_processes else empty_looks + 1
        if empty_looks == 2:
            return
        _quit_postmasters(lab_processes)
        _kill(lab_processes)
    names = ", ".join(str(process.pid) for process in of_lab(home, databases))
    raise CutoverError(f"Ending the processes of {home} failed: {names} stay.", hint="Were they started by root?")


def of_lab(home: Path, databases: Path | None) -> Iterator[psutil.Process]:
    """Yield the living processes of a lab."""
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
    """Wait for a process's environment: one that is just executing another program has none for a moment."""
    with suppress(CutoverError):
        await_condition(process.environ, doing="Reading an environment", seconds=EXEC_SECONDS)


def _marked(process: psutil.Process, home: Path) -> bool:
    return process.environ().get(MARK) == str(home) and process.status() != psutil.STATUS_ZOMBIE


def _works_in(process: psutil.Process, databases: Path) -> bool:
    return process.name() == "postgres" and Path(process.cwd()).is_relative_to(databases)


def _quit_postmasters(lab_processes: Sequence[psutil.Process]) -> None:
    """Let PostgreSQL servers end by themselves first, so that they free their shared memory."""
    postmasters = [process for process in lab_processes if _is_postmaster(process)]
    _send(postmasters, signal.SIGQUIT)
    with suppress(CutoverError):
        _await_end(postmasters)


def _is_postmaster(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        parent = process.parent()
        return process.name() == "postgres" and (parent is None or parent.name() != "postgres")
    return False


def _kill(lab_processes: Sequence[psutil.Process]) -> None:
    _send(lab_processes, signal.SIGKILL)
    _await_end(lab_processes)


def _send(lab_processes: Sequence[psutil.Process], what: signal.Signals) -> None:
    for process in lab_processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(what)


def _await_end(lab_processes: Sequence[psutil.Process]) -> None:
    await_condition(lambda: not any(map(_lives, lab_processes)), doing="Ending processes", seconds=GONE_SECONDS)


def _lives(process: psutil.Process) -> bool:
    """True if it is still running; one that init has not yet reaped is not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

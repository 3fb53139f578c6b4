"""One of our own servers in its own process: started with a configuration, and ready when it says so."""

from __future__ import annotations

import json
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from errors import CutoverError
from rehearsal.files import tail, write_json
from rehearsal.layout import MARK
from rehearsal.waiting import await_condition

ROOT = Path(__file__).parent.parent
START_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Daemon:
    """The module, the files and the lab of a server."""

    module: str  # such as rehearsal.dns_server
    folder: Path
    home: Path  # its mark

    @property
    def log(self) -> Path:
        """The file with its output."""
        return self.folder / "log"

    @property
    def pid_file(self) -> Path:
        """The file with its process id."""
        return self.folder / "pid"

    @property
    def config(self) -> Path:
        """The configuration it was started with."""
        return self.folder / "config.json"

    @property
    def ready(self) -> Path:
        """The file that it writes when it is ready, with its ports for example."""
        return self.folder / "ready.json"

    @property
    def running(self) -> bool:
        """True if its process is alive."""
        from rehearsal import processes  # not at the top: a command of a host, which starts often, needs it rarely

        return processes.running(self.pid_file, self.home)

    def said(self) -> Mapping[str, Any]:
        """Return what it reported when it was ready; empty before."""
        try:
            return dict(json.loads(self.ready.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}


def start(daemon: Daemon, config: Mapping[str, object], *, pass_fds: Sequence[int] = ()) -> Mapping[str, Any]:
    """Start a server, wait until it is ready, and return what it reported; CutoverError with the end of its log."""
    from rehearsal import processes  # as above

    shutil.rmtree(daemon.folder, ignore_errors=True)
    daemon.folder.mkdir(parents=True)
    write_json(daemon.config, config)
    words = [sys.executable, "-m", daemon.module, str(daemon.config), str(daemon.ready)]
    env = {"LANG": "C.UTF-8", MARK: str(daemon.home), "PYTHONPATH": str(ROOT)}
    processes.spawn(words, env=env, log=daemon.log, pid_file=daemon.pid_file, folder=daemon.folder, pass_fds=pass_fds)
    await_condition(lambda: ready_or_dead(daemon), doing=f"Starting {daemon.module}", seconds=START_SECONDS)
    return daemon.said()


def ready_or_dead(daemon: Daemon) -> bool:
    """True if it is ready; CutoverError if it ended instead."""
    if not daemon.ready.exists() and not daemon.running:
        raise CutoverError(f"Starting {daemon.module} failed: {tail(daemon.log)}.")
    return daemon.ready.exists()


def stop(daemon: Daemon) -> None:
    """End the server if it is running."""
    from rehearsal import processes  # as above

    processes.stop(daemon.pid_file, daemon.home)


def serve(run: Callable[[Mapping[str, Any], Callable[[Mapping[str, object]], None]], None]) -> None:
    """Run such a process; `run` gets the configuration, and a function with which to report that it is ready."""
    config, ready = map(Path, sys.argv[1:])
    # A shell starts background jobs with these ignored; every command run for us would inherit that.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    run(json.loads(config.read_text(encoding="utf-8")), lambda said: write_json(ready, said))

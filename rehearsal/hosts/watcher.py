"""`system-watcher start|stop|status`: a process of this host that looks at the world until it is stopped."""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal import processes
from rehearsal.blueprint import Blueprint
from rehearsal.hosts.command import Here, alone, main

# In the foreground, so that it is one process whose name a person finds in `ps`.
WATCHING = 'while :; do date >> "$HOME/watched"; sleep 5; done'


def begin(lab: Blueprint, host: str) -> None:
    """Starts System Watcher, unless it runs."""
    layout = lab.layout
    if running(lab):
        return
    home = layout.host(host)
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), **lab.mark}
    words = ["/bin/sh", "-c", WATCHING, "system-watcher"]
    processes.spawn(words, env=env, log=home / "system-watcher.log", pid_file=layout.watcher_pid, folder=home)


def running(lab: Blueprint) -> bool:
    """Whether it runs."""
    return processes.running(lab.layout.watcher_pid, lab.layout.home)


def start(here: Here, words: Sequence[str]) -> str:
    """Starts it; harmless where it runs."""
    alone(words)
    begin(here.lab, here.name)
    return ""


def stop(here: Here, words: Sequence[str]) -> str:
    """Ends it; harmless where it does not run."""
    alone(words)
    processes.stop(here.lab.layout.watcher_pid, here.lab.layout.home)
    return ""


def status(here: Here, words: Sequence[str]) -> str:
    """`running` or `stopped`."""
    alone(words)
    return "running" if running(here.lab) else "stopped"


if __name__ == "__main__":
    main("system-watcher", {"start": start, "stop": stop, "status": status})

"""`system-watcher start|stop|status`: a process on this host that runs until it is stopped."""

from __future__ import annotations

from collections.abc import Sequence

from rehearsal import processes
from rehearsal.blueprint import Blueprint
from rehearsal.hosts.command import ThisHost, main, no_arguments

# In the foreground, so that it is a single process, which can be found by name in `ps`.
WATCHING = 'while :; do date >> "$HOME/watched"; sleep 5; done'


def begin(lab: Blueprint, host: str) -> None:
    """Start System Watcher, unless it is running."""
    layout = lab.layout
    if running(lab):
        return
    home = layout.host(host)
    env = {"PATH": "/usr/bin:/bin", "HOME": str(home), **lab.mark}
    words = ["/bin/sh", "-c", WATCHING, "system-watcher"]
    processes.spawn(words, env=env, log=home / "system-watcher.log", pid_file=layout.watcher_pid, folder=home)


def running(lab: Blueprint) -> bool:
    """True if System Watcher is running."""
    return processes.running(lab.layout.watcher_pid, lab.layout.home)


def start(host: ThisHost, words: Sequence[str]) -> str:
    """Start System Watcher; harmless if it is running."""
    no_arguments(words)
    begin(host.lab, host.name)
    return ""


def stop(host: ThisHost, words: Sequence[str]) -> str:
    """Stop System Watcher; harmless if it is not running."""
    no_arguments(words)
    processes.stop(host.lab.layout.watcher_pid, host.lab.layout.home)
    return ""


def status(host: ThisHost, words: Sequence[str]) -> str:
    """Return `running` or `stopped`."""
    no_arguments(words)
    return "running" if running(host.lab) else "stopped"


if __name__ == "__main__":
    main("system-watcher", {"start": start, "stop": stop, "status": status})

"""The user's ~/.ssh/config, which is not followed: what it has for a host is told where connecting fails."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from pathlib import Path

PATH = Path("~/.ssh/config")
WORDS = {word.lower(): word for word in ("HostName", "User", "Port", "IdentityFile", "ProxyJump", "ProxyCommand")}


def unread(*hosts: str) -> str:
    """Return a sentence on what the user's file has for a host, under any of these names; empty if it has nothing."""
    try:
        lines = PATH.expanduser().read_bytes().decode("utf-8", "replace").splitlines()
    except (OSError, RuntimeError):  # there is no such file, or no home
        return ""
    present = _words(lines, hosts)
    if not present:
        return ""
    return (
        f" {PATH} has {', '.join(present)} for it and is not read: the inventory says a host's address, user and port, "
        "and under ssh the key and the gateway."
    )


def _words(lines: list[str], hosts: tuple[str, ...]) -> list[str]:
    """Return the words of WORDS that stand under `Host` for one of the hosts."""
    applies, present = False, list[str]()
    for line in lines:
        keyword, *values = re.split(r"\s*=\s*|\s+", line.strip()) or [""]
        if keyword.lower() in ("host", "match"):
            applies = keyword.lower() == "host" and any(fnmatchcase(host, value) for host in hosts for value in values)
        elif applies and (word := WORDS.get(keyword.lower())) and word not in present:
            present.append(word)
    return present

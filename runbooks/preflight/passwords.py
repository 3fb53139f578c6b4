"""The passwords of databases on this machine, as libpq would find them: services, and the lines of a password file."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from configparser import Error, RawConfigParser
from pathlib import Path

from errors import UsageError
from formatting import many
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import Facts
from runbooks.engine.model.preconditions import Precondition
from runbooks.engine.model.step import Check, Truth, Verdict, fails, holds, unseen

HOME = Path("~")
DEFAULTS = {"host": "localhost", "port": "5432"}
OTHERS_MAY_READ = stat.S_IRWXG | stat.S_IRWXO


def passwords(connections: Mapping[str, Mapping[str, str]]) -> Precondition:
    """Return the check that each connection has its service and a password, where this machine's files say so.

    Without a password it only warns: whether a server asks for one, only that server knows.
    """

    def judge(outputs: tuple[ProbeOutput, ...], facts: Facts) -> Verdict:
        problems, lacking = list[str](), list[str]()
        for name, connection in connections.items():
            try:
                if not _has_password({**DEFAULTS, **_service(connection), **connection}):
                    lacking.append(name)
            except UsageError as error:
                problems.append(f"{name}: {error}")
        if problems:
            return fails("; ".join(dict.fromkeys(problems)))
        if lacking:
            return unseen(f"no line of a password file is for {', '.join(lacking)}")
        return holds(f"{many(len(connections), 'connection')}, each with its password")

    check = Check(title="databases let this user in", looks=(), judge=judge)
    return Precondition(check=check, advice="docs/install.md, step 3, has both files.", stops=(Truth.FAILS,))


def _has_password(words: Mapping[str, str]) -> bool:
    """True if a password is found, or the connection is over a socket of this machine."""
    if words["host"].startswith("/") or "password" in words or "PGPASSWORD" in os.environ:
        return True
    path = Path(words.get("passfile") or os.environ.get("PGPASSFILE") or HOME / ".pgpass").expanduser()
    return any(_matches(line, words) for line in _lines(path))


def _service(connection: Mapping[str, str]) -> Mapping[str, str]:
    """Return the keywords of the connection's service; UsageError if the file does not have it."""
    service = connection.get("service")
    if service is None:
        return {}
    path = Path(os.environ.get("PGSERVICEFILE") or HOME / ".pg_service.conf").expanduser()
    parser = RawConfigParser(delimiters=("=",))
    try:
        parser.read(path, encoding="utf-8")
    except (Error, UnicodeDecodeError):
        raise UsageError(f"{path} can't be read as a service file") from None
    if not parser.has_section(service):
        raise UsageError(f"no service {service} in {path}")
    return dict(parser[service])


def _lines(path: Path) -> list[str]:
    """Return the lines of a password file; UsageError for one that libpq would ignore."""
    try:
        if path.stat().st_mode & OTHERS_MAY_READ:
            raise UsageError(f"{path} is open to others, so that libpq ignores it: chmod 600 {path}")
        return path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} can't be read: {getattr(error, 'strerror', 'it is not UTF-8 text')}") from None


def _matches(line: str, words: Mapping[str, str]) -> bool:
    parts = line.replace("\\:", "\0").split(":")
    values = (words["host"], words["port"], words.get("dbname"), words.get("user"))
    return (
        len(parts) == 5
        and not line.startswith("#")
        and all(part == "*" or part.replace("\0", ":") == value for part, value in zip(parts, values, strict=False))
    )

"""Parts that all host commands share: their host, their arguments, and how they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from errors import CutoverError, UsageError
from rehearsal import blueprint
from rehearsal.blueprint import Blueprint, LabDatabase
from rehearsal.layout import MARK

HOST_NAME_FILE = ".inventory-host"


@dataclass(frozen=True)
class ThisHost:
    """The host on which a command runs."""

    lab: Blueprint
    name: str

    @property
    def home(self) -> Path:
        """The host's HOME."""
        return self.lab.layout.host(self.name)

    @property
    def database(self) -> LabDatabase:
        """The database of this host."""
        return self.lab.database_on(self.name)


Act = Callable[[ThisHost, Sequence[str]], str]


def main(tool: str, acts: Mapping[str, Act]) -> None:
    """Run a command with verbs: the first argument chooses the act."""

    def act(host: ThisHost, words: Sequence[str]) -> str:
        if not words or words[0] not in acts:
            raise UsageError(f"Expected one of {', '.join(acts)}, got {repr(words[0]) if words else 'nothing'}.")
        return acts[words[0]](host, words[1:])

    run(tool, act)


def run(tool: str, act: Act) -> None:
    """Run a command: print its result, and exit with the tool's documented codes."""
    try:
        said = act(this_host(), sys.argv[1:])
    except CutoverError as error:
        sys.stderr.write("\n".join([f"{tool}: {error}", *([f"hint: {error.hint}"] if error.hint else [])]) + "\n")
        sys.exit(error.exit_code)
    if said:
        sys.stdout.write(f"{said}\n")


def no_arguments(words: Sequence[str]) -> None:
    """Refuse arguments after a verb that takes none."""
    if words:
        raise UsageError(f"Expected nothing more, got {' '.join(words)!r}.")


def this_host() -> ThisHost:
    """Return this host, by its host name file; CutoverError outside a lab."""
    home = os.environ.get(MARK)
    if not home:
        raise CutoverError(f"{MARK} is not set: this command works on the hosts of a rehearsal only.")
    name = (Path.home() / HOST_NAME_FILE).read_text(encoding="utf-8").strip()
    return ThisHost(blueprint.load(Path(home)), name)


def now() -> str:
    """Return the current time as ISO 8601, with its offset."""
    return datetime.now(UTC).isoformat()


def stamp() -> str:
    """Return the current time as a name that sorts by time, such as 20140815T021503.123456Z."""
    return datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")


def finished(path: Path) -> str:
    """Return when a file was last written, as ISO 8601."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()


def newest(folder: Path) -> Path | None:
    """Return the newest of folders named by `stamp`; incomplete ones begin with a dot."""
    folders = sorted(path for path in folder.glob("*") if not path.name.startswith("."))
    return folders[-1] if folders else None

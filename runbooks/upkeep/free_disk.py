"""The free disk below a database, asked for on its host whenever it matters."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

from archiver.vacuum.rewrite import Free
from errors import CutoverError
from inventory.model import Database, Environment
from runbooks.cli.debug_host import own_name
from runbooks.engine.model.actions import SOON, ProbeOutput, RemoteCommand
from runbooks.engine.model.df import df, mounts
from runbooks.engine.model.probe_output import Unreadable


@contextmanager
def free_disk(environment: Environment, database: Database, warn: Callable[[str], None]) -> Iterator[Free]:
    """Yield a function that returns the bytes free below a data_directory; None, with one warning, if unknown."""
    if database.data_directory is None:
        warn(f"{database.name}: the inventory has no data_directory for it, so its free disk is not checked")
        yield lambda: None
        return
    command, unknown = df([database.data_directory]), list[str]()

    def free() -> int | None:
        if unknown:
            return None
        try:
            return mounts(run(command), 1)[0][1]
        except (CutoverError, Unreadable, OSError, subprocess.SubprocessError) as error:
            unknown.append(str(error))
            warn(f"{database.name}: its free disk is unknown, continuing without: {error}")
            return None

    with _shell(environment, database.host) as run:
        yield free


@contextmanager
def _shell(environment: Environment, host: str) -> Iterator[Callable[[str], ProbeOutput]]:
    """Yield a function that runs a command on a host; not over SSH if this is the host, which need not reach itself."""
    if own_name(environment) == host:
        yield _run_here
        return
    from runbooks.engine.live.fleet import Fleet  # not at the top: importing Fabric takes long

    with closing(Fleet(environment.hosts, environment.ssh)) as fleet:
        yield lambda command: fleet.run(RemoteCommand(host=host, command=command))


def _run_here(command: str) -> ProbeOutput:
    done = subprocess.run(
        ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SOON.seconds
    )
    return ProbeOutput(code=done.returncode, text=done.stdout, error=done.stderr)

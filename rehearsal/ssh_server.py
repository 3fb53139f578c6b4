"""The lab's SSH server: every host on a port of its own, commands run for real; the only door to asyncssh."""

from __future__ import annotations

import asyncio
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh

from rehearsal.daemon import serve
from rehearsal.files import write_secret
from rehearsal.ssh_terminal import run_in_terminal

CHUNK = 64 * 1024
ALGORITHM = "ssh-ed25519"
SHELL = "/bin/sh"
Session = asyncssh.SSHServerProcess[bytes]


@dataclass(frozen=True)
class HostSide:
    """Where and with what environment a host's commands run."""

    home: str
    env: Mapping[str, str]


class OneUser(asyncssh.SSHServer):
    """Lets one user in, with one key."""

    def __init__(self, user: str, key: asyncssh.SSHKey) -> None:
        self._user = user
        self._key = key

    def public_key_auth_supported(self) -> bool:
        """The only way in."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Whether it is that user's key."""
        return username == self._user and key == self._key


async def listen(config: Mapping[str, Any], ready: Callable[[Mapping[str, object]], None]) -> None:
    """Makes the keys, opens every host's port, says so, and serves until the process is ended."""
    secrets = Path(config["secrets"])
    key = asyncssh.generate_private_key(ALGORITHM)
    write_secret(secrets / "key", key.export_private_key().decode())
    ports, known = {}, ""
    for name, host in config["hosts"].items():
        host_key = asyncssh.generate_private_key(ALGORITHM)
        acceptor = await asyncssh.listen(
            host["address"],
            0,
            server_host_keys=[host_key],
            server_factory=partial(OneUser, config["user"], key.convert_to_public()),
            process_factory=partial(_attend, HostSide(host["home"], host["env"])),
            encoding=None,
            line_editor=False,
            compression_algs=None,
        )
        ports[name] = acceptor.get_port()
        known += f"[{host['address']}]:{ports[name]} {host_key.export_public_key().decode()}"
    write_secret(secrets / "known_hosts", known)
    ready({"ports": ports})
    await asyncio.Event().wait()


async def _attend(host: HostSide, session: Session) -> None:
    """Runs one command, or a shell, and tells the client how it ended."""
    words = [SHELL, "-c", session.command] if session.command is not None else [SHELL, "-i"]
    if session.term_type is not None:
        code = await run_in_terminal(session, words, cwd=host.home, env={**host.env, "TERM": session.term_type})
    else:
        code = await _run(host, session, words)
    with suppress(OSError):  # the client has gone
        if code < 0:
            session.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
        else:
            session.exit(code)


async def _run(host: HostSide, session: Session, words: list[str]) -> int:
    child = await asyncio.create_subprocess_exec(
        *words, stdin=PIPE, stdout=PIPE, stderr=PIPE, cwd=host.home, env=host.env, start_new_session=True
    )
    feeding = asyncio.create_task(_feed(session, child))
    assert child.stdout is not None and child.stderr is not None
    # Both to their ends before the exit code is told: what is still in the pipes would be lost.
    await asyncio.gather(_pump(child.stdout, session.stdout), _pump(child.stderr, session.stderr))
    code = await child.wait()
    feeding.cancel()
    return code


async def _pump(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    """Passes a stream on to its end, also when nobody reads it any more: a command outlives its connection."""
    gone = False
    while data := await source.read(CHUNK):
        try:
            if not gone:
                sink.write(data)
                await sink.drain()
        except (OSError, asyncssh.Error):
            gone = True


async def _feed(session: Session, child: Process) -> None:
    """Passes the client's input on, and its signals."""
    assert child.stdin is not None
    with suppress(OSError, asyncssh.Error):
        while data := await _input(session, child):
            child.stdin.write(data)
            await child.stdin.drain()
    child.stdin.close()


async def _input(session: Session, child: Process) -> bytes:
    while True:
        try:
            return await session.stdin.read(CHUNK)
        except asyncssh.SignalReceived as received:
            with suppress(ProcessLookupError, AttributeError):
                os.killpg(child.pid, getattr(signal, f"SIG{received.signal}"))


def run(config: Mapping[str, Any], ready: Callable[[Mapping[str, object]], None]) -> None:
    """Serves until it is ended."""
    asyncio.run(listen(config, ready))


if __name__ == "__main__":
    serve(run)

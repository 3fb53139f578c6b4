"""The lab's SSH server: each host has its own port, and commands really run; the only importer of asyncssh."""

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
    """The home and the environment of a host's commands."""

    home: str
    env: Mapping[str, str]


class OneUser(asyncssh.SSHServer):
    """A server that lets one user in, with one key."""

    def __init__(self, user: str, key: asyncssh.SSHKey) -> None:
        self._user = user
        self._key = key

    def public_key_auth_supported(self) -> bool:
        """Return True: the only way to authenticate."""
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """True if the key is that user's."""
        return username == self._user and key == self._key


async def listen(config: Mapping[str, Any], ready: Callable[[Mapping[str, object]], None]) -> None:
    """Create the keys, open every host's port, report them, and serve until the process is ended."""
    secrets = Path(config["secrets"])
    key = asyncssh.generate_private_key(ALGORITHM)
    write_secret(secrets / "key", key.export_private_key().decode())
    ports, known_hosts = {}, ""
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
        known_hosts += f"[{host['address']}]:{ports[name]} {host_key.export_public_key().decode()}"
    write_secret(secrets / "known_hosts", known_hosts)
    ready({"ports": ports})
    await asyncio.Event().wait()


async def _attend(host: HostSide, session: Session) -> None:
    """Run one command, or a shell, and send its exit code to the client."""
    words = [SHELL, "-c", session.command] if session.command is not None else [SHELL, "-i"]
    if session.term_type is not None:
        code = await run_in_terminal(session, words, cwd=host.home, env={**host.env, "TERM": session.term_type})
    else:
        code = await _run(host, session, words)
    with suppress(OSError):  # the client has disconnected
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
    # Read both to the end before sending the exit code, or output still in the pipes would be lost.
    await asyncio.gather(_pump(child.stdout, session.stdout), _pump(child.stderr, session.stderr))
    code = await child.wait()
    feeding.cancel()
    return code


async def _pump(source: asyncio.StreamReader, sink: asyncssh.SSHWriter[bytes]) -> None:
    """Copy a stream to its end, even after its reader has disconnected: a command outlives its connection."""
    disconnected = False
    while data := await source.read(CHUNK):
        try:
            if not disconnected:
                sink.write(data)
                await sink.drain()
        except (OSError, asyncssh.Error):
            disconnected = True


async def _feed(session: Session, child: Process) -> None:
    """Pass the client's input and signals on to the command."""
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
    """Serve until the process is ended."""
    asyncio.run(listen(config, ready))


if __name__ == "__main__":
    serve(run)

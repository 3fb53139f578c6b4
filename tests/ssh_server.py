"""SSH servers for tests, in this process: commands run here, and a server can be a way to another.

They do with a command what OpenSSH does: the login shell gets it as one word, its standard input is open until the
other end shuts it, and an end by a signal is told as such.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import asyncssh

from inventory.model import Host, Role, Ssh
from rehearsal.ports import LOOPBACK
from runbooks.engine.live.fleet import Fleet


@dataclass(frozen=True)
class Server:
    """A running server, and how it is reached."""

    host: Host
    ssh: Ssh
    loop: asyncio.AbstractEventLoop
    key: asyncssh.SSHKey = field(repr=False)
    connections: list[asyncssh.SSHServerConnection] = field(default_factory=list)

    def fleet(self, **changes: Any) -> Fleet:
        """A fleet of this one host."""
        return Fleet({"db": self.host}, replace(self.ssh, **changes))

    def cut(self) -> None:
        """Cut every connection, as a broken link does."""
        for connection in self.connections:
            self.loop.call_soon_threadsafe(connection.abort)

    def known(self, key: asyncssh.SSHKey | None = None) -> str:
        """A line of known_hosts: its own key, or another's."""
        return f"[{LOOPBACK}]:{self.host.port} {(key or self.key).export_public_key().decode().strip()}\n"


class _Seen(asyncssh.SSHServer):
    """Records every client, and lets each open connections from this server."""

    def __init__(self, connections: list[asyncssh.SSHServerConnection]) -> None:
        self._connections = connections

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connections.append(conn)

    def connection_requested(self, *where: object) -> bool:
        return True


def new_key() -> asyncssh.SSHKey:
    """Return a new key, unknown to every server."""
    return asyncssh.generate_private_key("ssh-ed25519")


@contextmanager
def running(home: Path, count: int = 1, *, shell: str = "/bin/sh") -> Iterator[tuple[Server, ...]]:
    """Yield so many servers that let one user in, with a key in the folder, as their own are in its known_hosts.

    `shell` is the user's login shell: a program that takes `-c` and a command.
    """
    user = new_key()
    user.write_private_key(home / "user")
    (home / "authorized").write_bytes(user.export_public_key())
    ssh = Ssh(known_hosts=str(home / "known_hosts"), key=str(home / "user"), connect_timeout=3)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    acceptors, servers = [], []
    for _ in range(count):
        key, connections = new_key(), list[asyncssh.SSHServerConnection]()
        acceptor = _in(loop, _listen(key, home / "authorized", connections, shell))
        host = Host(name="db", address=LOOPBACK, user="operator", port=acceptor.get_port(), roles=(Role.DATABASE,))
        acceptors.append(acceptor)
        servers.append(Server(host, ssh, loop, key, connections))
    (home / "known_hosts").write_text("".join(server.known() for server in servers))
    yield tuple(servers)
    _in(loop, _end(acceptors, [connection for server in servers for connection in server.connections]))
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def _in(loop: asyncio.AbstractEventLoop, work: Any) -> Any:
    return asyncio.run_coroutine_threadsafe(work, loop).result(10)


async def _listen(
    key: asyncssh.SSHKey, authorized: Path, connections: list[asyncssh.SSHServerConnection], shell: str
) -> asyncssh.SSHAcceptor:
    return await asyncssh.listen(
        LOOPBACK,
        0,
        server_factory=partial(_Seen, connections),
        server_host_keys=[key],
        authorized_client_keys=str(authorized),
        process_factory=partial(_run, shell),
        encoding=None,
    )


async def _end(acceptors: list[asyncssh.SSHAcceptor], connections: list[asyncssh.SSHServerConnection]) -> None:
    """Let nothing of the servers outlive the tests."""
    for acceptor in acceptors:
        acceptor.close()
        await acceptor.wait_closed()
    for connection in connections:
        connection.abort()
        await connection.wait_closed()
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _run(shell: str, process: asyncssh.SSHServerProcess[bytes]) -> None:
    child = await asyncio.create_subprocess_exec(
        shell,
        "-c",
        process.command or "true",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdin and child.stdout and child.stderr
    typing = asyncio.create_task(_type(process.stdin, child.stdin))
    try:
        await asyncio.gather(_pump(child.stdout, process.stdout), _pump(child.stderr, process.stderr))
        code = await child.wait()
        if code < 0:
            process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
        else:
            process.exit(code)
    finally:
        typing.cancel()
        if child.returncode is None:
            os.killpg(child.pid, signal.SIGKILL)
            await child.wait()


async def _type(source: asyncssh.SSHReader[bytes], target: asyncio.StreamWriter) -> None:
    """Write the input of the other end, until it shuts its side, or the command reads no more."""
    with suppress(OSError, asyncssh.Error):
        while data := await source.read(65536):
            target.write(data)
            await target.drain()
    target.close()


async def _pump(source: asyncio.StreamReader, target: asyncssh.SSHWriter[bytes]) -> None:
    while data := await source.read(65536):
        target.write(data)
        await target.drain()

"""Refusals of hosts and servers before a login, each reported with its own reason and never with another."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import paramiko
import pytest

from archiver.postgres.session import DatabaseError, connect
from errors import CutoverError
from rehearsal.ports import LOOPBACK
from runbooks.engine.live.fleet import Fleet
from runbooks.engine.live.ssh import UnreachableError
from runbooks.engine.model.actions import RemoteCommand
from tests.ssh_server import Server, running

COMMAND = RemoteCommand(host="db", command="true", timeout=timedelta(seconds=10))
MOST_KEYS = 10  # that Paramiko's server lets a client try; 6 at OpenSSH's


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("ssh")) as (server,):
        yield server


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a server that answers every connection so, and hangs up."""
    with socket.socket() as listening:
        listening.bind((LOOPBACK, 0))
        listening.listen()

        def serve() -> None:
            while True:
                try:
                    link, _ = listening.accept()
                except OSError:
                    return
                with link:
                    answer(link)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()


def fatal(message: bytes) -> bytes:
    """PostgreSQL's error before it knows the client's encoding."""
    fields = b"SFATAL\0VFATAL\0C28000\0M" + message + b"\0\0"
    return b"E" + struct.pack("!i", len(fields) + 4) + fields


def test_a_server_that_refuses_in_another_encoding_is_reported_in_a_sentence() -> None:
    """The server speaks the protocol so far: PostgreSQL's own would have to be set up in French."""

    def refuse(link: socket.socket) -> None:
        link.recv(4096)
        link.sendall(fatal("le rôle « chris » n'existe pas, désolé".encode("latin-1")))

    with answering(refuse) as port, pytest.raises(DatabaseError, match=f"shop@{LOOPBACK}:{port}"):
        words = {"host": LOOPBACK, "port": str(port), "dbname": "shop", "user": "chris"}
        connect({**words, "sslmode": "disable", "gssencmode": "disable"}, name="test")


@pytest.mark.parametrize("words", [b"", b"Exceeded MaxStartups\r\n", b"Not allowed at this time\r\n"])
def test_a_host_that_hangs_up_at_once_is_not_reported_as_a_timeout(server: Server, words: bytes) -> None:
    """OpenSSH does so when too many clients come at once."""

    def hang_up(link: socket.socket) -> None:
        link.sendall(words)

    with answering(hang_up) as port, pytest.raises(UnreachableError) as refused:
        Fleet({"db": replace(server.host, port=port)}, server.ssh).run(COMMAND)
    assert f"within {server.ssh.connect_timeout} s" not in str(refused.value)


class Agent:
    """An agent with more keys than a server lets a client try."""

    def get_keys(self) -> list[paramiko.PKey]:
        return [paramiko.ECDSAKey.generate() for _ in range(MOST_KEYS + 2)]

    def close(self) -> None:
        """Nothing is open."""


class Stranger(paramiko.ServerInterface):
    """A server that knows no key, and counts those that it is shown."""

    def __init__(self) -> None:
        self.shown = 0

    def get_allowed_auths(self, username: str) -> str:
        return "publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.shown += 1
        return paramiko.AUTH_FAILED  # type: ignore[attr-defined,no-any-return,unused-ignore]


def test_a_host_that_refuses_too_many_keys_of_an_agent_is_not_reported_as_silent(
    server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Paramiko's server hangs up as OpenSSH's does; the one of asyncssh takes no second key from Paramiko at all."""
    key, stranger = paramiko.ECDSAKey.generate(), Stranger()
    monkeypatch.setattr(paramiko.client, "Agent", Agent)

    def serve(link: socket.socket) -> None:
        transport = paramiko.Transport(link)
        transport.add_server_key(key)
        transport.start_server(server=stranger)
        transport.join()

    with answering(serve) as port:
        known = tmp_path / "known_hosts"
        known.write_text(f"[{LOOPBACK}]:{port} {key.get_name()} {key.get_base64()}\n")
        ssh = replace(server.ssh, key=None, known_hosts=str(known))
        with pytest.raises(UnreachableError) as refused:
            Fleet({"db": replace(server.host, port=port)}, ssh).run(COMMAND)
    assert stranger.shown == MOST_KEYS
    assert f"within {ssh.connect_timeout} s" not in str(refused.value)


def test_a_missing_key_is_named(server: Server, tmp_path: Path) -> None:
    with closing(server.fleet(key=str(tmp_path / "id_cutover"))) as fleet, pytest.raises(CutoverError) as refused:
        fleet.run(COMMAND)
    assert "id_cutover" in f"{refused.value} {refused.value.hint}"

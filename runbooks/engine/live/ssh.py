"""The only door to Fabric and Paramiko: commands on hosts with verified keys, each within a time limit."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from fabric import Config, Connection
from fabric.runners import Remote
from paramiko import BadHostKeyException, Channel, PasswordRequiredException, RejectPolicy, SSHException
from paramiko.ssh_exception import AuthenticationException, ChannelException

from errors import CutoverError, UnknownError, UsageError
from inventory.model import Host, Ssh
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand

KEEPALIVE = 30  # seconds
LOST = -1  # the exit code of a command whose end was not seen
MAX_OUTPUT = 1024 * 1024  # bytes of a command's output, at most


class UnreachableError(CutoverError):
    """A host could not be reached, so nothing was done there."""


class Fleet:
    """The hosts of an environment; a connection serves one thread at a time and is then reused."""

    def __init__(self, hosts: Mapping[str, Host], ssh: Ssh) -> None:
        # Paramiko logs the errors it raises; the operator should read them once.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
        self._hosts = hosts
        self._ssh = ssh
        self._idle: dict[str, list[_Connection]] = defaultdict(list)
        self._all: set[_Connection] = set()
        self._guard = threading.Lock()

    def run(self, command: RemoteCommand) -> ProbeOutput:
        """Run a command and return its output and exit code.

        Raises UnreachableError if it was not begun, UnknownError if its end was not seen.
        """
        with self._connection(command.host) as connection:
            return connection.perform(command)

    def close(self) -> None:
        """Close every connection, including those in use."""
        with self._guard:
            connections = list(self._all)
            self._all.clear()
            self._idle.clear()
        for connection in connections:
            connection.close()

    @contextmanager
    def _connection(self, name: str) -> Iterator[_Connection]:
        connection = self._take(name)
        try:
            connection.reach()
            yield connection
        except BaseException:
            self._forget(connection)
            raise
        with self._guard:
            if connection in self._all:
                self._idle[name].append(connection)

    def _take(self, name: str) -> _Connection:
        with self._guard:
            idle = self._idle[name]
            connection = idle.pop() if idle else _connection(self._hosts[name], self._ssh)
            self._all.add(connection)
        return connection

    def _forget(self, connection: _Connection) -> None:
        with self._guard:
            self._all.discard(connection)
        connection.close()


class _BoundedRemote(Remote):  # type: ignore[misc]  # Fabric has no types
    """Reads a command's output to its end, and holds no more than its last part in memory."""

    read_chunk_size = 64 * 1024

    def read_proc_output(self, reader: Callable[[int], bytes]) -> Iterator[str]:
        """Yield a short output in full, the end of a long one. One piece: Fabric joins all pieces for each new one."""
        tail, size = bytearray(), 0
        while data := reader(self.read_chunk_size):
            size += len(data)
            tail += data
            if len(tail) > 2 * MAX_OUTPUT:
                del tail[:-MAX_OUTPUT]
        yield _ending(bytes(tail), size)


class _Connection(Connection):  # type: ignore[misc]  # Fabric has no types
    """A connection to one host that trusts only the inventory's known_hosts and reads no user's SSH configuration."""

    def __init__(self, host: Host, ssh: Ssh, gateway: _Connection | None = None) -> None:
        super().__init__(
            host=host.address,
            user=host.user,
            port=host.port,
            config=_config(),
            gateway=gateway,
            connect_timeout=ssh.connect_timeout,
            forward_agent=False,
            connect_kwargs=_connect_arguments(ssh),
        )
        self._set(_name=host.name, _patience=ssh.connect_timeout)
        # Fabric accepts any host key, even a changed one.
        self.client.set_missing_host_key_policy(RejectPolicy())
        _load_known_hosts(self.client, Path(ssh.known_hosts).expanduser())

    # Compared by identity: Fabric considers two connections to the same host equal.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def reach(self) -> None:
        """Open the connection unless it is open. Raises UnreachableError with the reason."""
        try:
            self.open()
            self.transport.set_keepalive(KEEPALIVE)
        except BadHostKeyException as error:
            raise self._refused("its host key differs from the one in known_hosts") from error
        except PasswordRequiredException as error:
            raise self._refused("the user key is encrypted; add it to the agent") from error
        except AuthenticationException as error:
            raise self._refused(f"it does not let {self.user} in") from error
        except SSHException as error:
            raise self._refused(self._why(error)) from error
        except (OSError, EOFError) as error:
            raise self._refused(_reason(error)) from error

    def create_session(self) -> Channel:
        """Return a channel; without a time limit a hanging host would block for an hour."""
        channel: Channel = self.transport.open_session(timeout=self._patience)
        return channel

    def open_gateway(self) -> Channel:
        """Return a channel through the gateway, after verifying its key too. Raises UnreachableError."""
        self.gateway.reach()
        target = (self.host, self.port)
        try:
            channel: Channel = self.gateway.transport.open_channel(
                "direct-tcpip", dest_addr=target, src_addr=("", 0), timeout=self._patience
            )
        except ChannelException as error:
            raise self._refused(f"{self.gateway._name} can't reach it ({error.text})") from error
        return channel

    def close(self) -> None:
        """Close it and its gateway. Fabric closes neither a gateway nor a connection that was refused half-way."""
        self.client.close()
        if self.gateway is not None:
            self.gateway.close()

    def perform(self, command: RemoteCommand) -> ProbeOutput:
        """Run a command within its time limit."""
        out_of_time = threading.Event()

        def give_up() -> None:
            out_of_time.set()
            self.close()

        limit = threading.Timer(command.timeout.total_seconds(), give_up)
        limit.daemon = True
        limit.start()
        try:
            result = self.run(command.command, hide=True, warn=True, in_stream=False, pty=False, encoding="utf-8")
        except Exception as error:  # any failure after the command was sent leaves its outcome unknown
            raise self._lost(command, out_of_time.is_set(), _reason(error)) from error
        finally:
            limit.cancel()
            limit.join()  # so that the connection is not reopened while the timer is closing it
        if result.exited == LOST:
            raise self._lost(command, out_of_time.is_set(), "the connection was lost")
        return ProbeOutput(code=result.exited, text=result.stdout, error=result.stderr)

    def _why(self, error: SSHException) -> str:
        """Return Paramiko's message, or a clearer one for two obscure errors."""
        if "not found in known_hosts" in str(error):
            return "its host key is not in known_hosts"
        # Without a greeting Paramiko raises the first or, if it goes on to ask for the key, the second.
        silent = any(words in str(error) for words in ("protocol banner", "No existing session"))
        return f"no greeting of an SSH server within {self._patience} s" if silent else _reason(error)

    def _refused(self, reason: str) -> UnreachableError:
        target = f"{self._name} ({self.user}@{self.host}:{self.port})"
        return UnreachableError(f"Connecting to {target} failed: {reason}.", hint="Nothing was done there.")

    def _lost(self, command: RemoteCommand, late: bool, reason: str) -> UnknownError:
        why = f"no end within {command.timeout.total_seconds():.0f} s" if late else reason
        return UnknownError(f"Unknown outcome {command}: {why}.", hint="It may still be running there.")


def _connection(host: Host, ssh: Ssh) -> _Connection:
    """Return a connection with its own connection to the gateway, so that one host's failure breaks no other's."""
    if ssh.gateway is None:
        return _Connection(host, ssh)
    gateway = Host(
        name="the gateway", address=ssh.gateway.address, user=ssh.gateway.user, port=ssh.gateway.port, roles=()
    )
    return _Connection(host, ssh, gateway=_Connection(gateway, ssh))


def _ending(tail: bytes, size: int) -> str:
    """Return an output as text: a long one's end, from the start of a line, below a line that says so."""
    if size <= MAX_OUTPUT:
        return tail.decode("utf-8", "replace")
    end = tail[-MAX_OUTPUT:]
    end = end[end.find(b"\n", 0, -1) + 1 :]
    return f"[{size - len(end)} bytes before this are omitted]\n{end.decode('utf-8', 'replace')}"


def _config() -> Config:
    """Return Fabric's defaults, without any user's files or variables."""
    return Config(lazy=True, overrides={"load_ssh_configs": False, "runners": {"remote": _BoundedRemote}})


def _connect_arguments(ssh: Ssh) -> dict[str, Any]:
    """Return new arguments for each connection: Fabric modifies them."""
    limits = dict.fromkeys(("banner_timeout", "auth_timeout", "channel_timeout"), ssh.connect_timeout)
    key = {"key_filename": str(Path(ssh.key).expanduser())} if ssh.key else {}
    return {**limits, **key, "look_for_keys": False, "allow_agent": ssh.key is None}


def _load_known_hosts(client: Any, path: Path) -> None:
    try:
        client.load_system_host_keys(str(path))
    except OSError as error:
        hint = "The inventory's ssh/known_hosts names the file; unknown hosts are refused."
        raise UsageError(f"Reading the host keys in {path} failed: {error.strerror}.", hint=hint) from error


def _reason(error: BaseException) -> str:
    with suppress(AttributeError):
        if text := getattr(error, "strerror", None):
            return str(text)
    return " ".join(str(error).split()) or type(error).__name__

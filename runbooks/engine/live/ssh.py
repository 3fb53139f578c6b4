"""The only door to Fabric and Paramiko: commands on hosts with verified keys, each within a time limit."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from fabric import Config, Connection
from fabric.runners import Remote
from paramiko import Channel, MissingHostKeyPolicy, PKey, SSHException, Transport
from paramiko.ssh_exception import AuthenticationException, ChannelException

from errors import CutoverError, UnknownError, UsageError
from inventory.model import Host, Ssh
from runbooks.engine.live.known_hosts import KnownKeys, known_keys
from runbooks.engine.live.ssh_answer import SHELL, Hearing, script
from runbooks.engine.live.ssh_config import unread
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from runbooks.engine.model.probe_output import excerpt

KEEPALIVE = 30  # seconds
LOST = -1  # the exit code of a command whose end was not seen
NOTHING_DONE = "Nothing was done there."


class UnreachableError(CutoverError):
    """A host could not be reached, so nothing was done there."""


class NotSent(UnreachableError):
    """The command was not sent: its connection opened no channel for it."""


class _Remote(Remote):  # type: ignore[misc]  # Fabric has no types
    """Runs one command by a bare shell, and reads its output to the end."""

    read_chunk_size = 64 * 1024

    def __init__(self, connection: HostConnection, command: str) -> None:
        super().__init__(connection)
        mark = f"cutover-{secrets.token_hex(8)}"
        self._script = script(command, mark).encode()
        self.out, self.err = Hearing(mark), Hearing(mark)
        self.sent = False

    def send_start_message(self, command: str) -> None:
        """Start the shell and give it the script, whose end is the end of its input: what asks gets no answer."""
        super().send_start_message(command)
        self.sent = True
        with suppress(OSError):  # a login shell that runs nothing has ended already: its answer says so
            self.channel.sendall(self._script)
            self.channel.shutdown_write()

    def read_proc_output(self, reader: Callable[[int], bytes]) -> Iterator[str]:
        """Read a stream to its end, and yield nothing: Fabric would join all pieces for each new one."""
        hearing = self.err if reader == self.read_proc_stderr else self.out
        while data := reader(self.read_chunk_size):
            hearing.add(data)
        yield from ()


class _KnownKeys(MissingHostKeyPolicy):
    """Recognizes a host by its keys in known_hosts; Paramiko itself is given none."""

    def __init__(self, keys: KnownKeys) -> None:
        self._known = keys

    def missing_host_key(self, client: object, hostname: str, key: PKey) -> None:
        """Raise _KeyRefused unless the key is the host's."""
        if reason := self._known.refusal(key.asbytes()):
            raise _KeyRefused(reason)

    def transport(self, sock: Any, **options: Any) -> Transport:
        """Return a transport that asks the host for a key of a known kind first."""
        transport = Transport(sock, **options)
        offered = transport.get_security_options()
        preferred = [name for kind in self._known.kinds for name in _SIGNATURES.get(kind, (kind,))]
        kinds = tuple(offered.key_types)
        first = [kind for kind in preferred if kind in kinds]
        offered.key_types = [*first, *(kind for kind in kinds if kind not in first)]
        return transport


_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


class _KeyRefused(SSHException):
    """A host showed a key by which it is not recognized."""


class HostConnection(Connection):  # type: ignore[misc]  # Fabric has no types
    """A connection to one host that trusts only the inventory's known_hosts and reads no user's SSH configuration."""

    def __init__(self, host: Host, ssh: Ssh, gateway: HostConnection | None = None) -> None:
        keys = _KnownKeys(_known_keys(Path(ssh.known_hosts).expanduser(), host))
        super().__init__(
            host=host.address,
            user=host.user,
            port=host.port,
            config=_config(),
            gateway=gateway,
            connect_timeout=ssh.connect_timeout,
            forward_agent=False,
            connect_kwargs={**_connect_arguments(ssh), "transport_factory": keys.transport},
        )
        self._set(_name=host.name, _patience=ssh.connect_timeout, _key=ssh.key)
        # Fabric accepts any host key, even a changed one.
        self.client.set_missing_host_key_policy(keys)

    # Compared by identity: Fabric considers two connections to the same host equal.
    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def reach(self) -> None:
        """Open the connection unless it is open. Raises UnreachableError with the reason."""
        began = time.monotonic()
        try:
            self.open()
            self.transport.set_keepalive(KEEPALIVE)
        except CutoverError:  # of the gateway
            raise
        except Exception as error:  # Paramiko's thread hands on whatever a message of the other end raised in it
            raise self._refused(self._why(error, late=time.monotonic() - began > 0.9 * self._patience)) from error

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
        """Run a command within its time limit. Raises NotSent, or UnknownError if its end was not seen."""
        out_of_time = threading.Event()

        def give_up() -> None:
            out_of_time.set()
            self.close()

        limit = threading.Timer(command.timeout.total_seconds(), give_up)
        limit.daemon = True
        limit.start()
        remote = _Remote(self, command.command)
        try:
            result = remote.run(SHELL, hide=True, warn=True, in_stream=False, pty=False, encoding="utf-8")
        except Exception as error:  # whatever was raised, what was sent decides
            if not remote.sent:
                raise self._not_sent(error) from error
            raise self._lost(command, out_of_time.is_set(), _reason(error)) from error
        finally:
            limit.cancel()
            limit.join()  # so that the connection is not reopened while the timer is closing it
        if answer := remote.out.answer:
            return ProbeOutput(code=answer.code, text=answer.text, error=remote.err.text if remote.err.begun else "")
        if result.exited != LOST and not remote.out.begun:
            raise self._no_shell(result.exited, remote)
        alive = result.exited != LOST or self.is_connected
        why = "its shell there was ended from outside" if alive else "the connection was lost"
        raise self._lost(command, out_of_time.is_set(), why)

    def _why(self, error: Exception, *, late: bool) -> str:
        """Return Paramiko's message, or a clearer one for what it tells obscurely."""
        if isinstance(error, _KeyRefused) or not isinstance(error, SSHException):
            return _reason(error)
        transport = self.client.get_transport()
        greeted, ended = bool(transport and transport.remote_version), not (transport and transport.is_active())
        # Without a greeting Paramiko raises the first or, if it goes on to ask for the key, the second.
        if not greeted and any(words in str(error) for words in ("protocol banner", "No existing session")):
            if late:
                return f"no greeting of an SSH server within {self._patience} s"
            return "it hung up before it greeted, as a server does that has too many logins at once (MaxStartups)"
        if transport and transport.initial_kex_done and ended:
            return (
                f"it hung up while {self.user} logged in, as a server does that was shown too many keys{self._advice}"
            )
        if "No authentication methods" in str(error):
            return "there is no user key: the agent has none, and the inventory names none under ssh/key"
        return f"it does not let {self.user} in" if isinstance(error, AuthenticationException) else _reason(error)

    @property
    def _advice(self) -> str:
        return "" if self._key else "; ssh/key in the inventory names one, and the agent is not asked"

    def _not_sent(self, error: Exception) -> NotSent:
        target = self._target
        return NotSent(
            f"Running a command on {target} failed: it opened no channel ({_reason(error)}).", hint=NOTHING_DONE
        )

    def _no_shell(self, code: int, remote: _Remote) -> UnreachableError:
        said = excerpt(" ".join((remote.out.text + remote.err.text).split())) or "nothing"
        message = f"Running a command on {self._target} failed: the login shell of {self.user} ran no {SHELL}"
        return UnreachableError(f"{message} (exit {code}: {said}).", hint=NOTHING_DONE)

    @property
    def _target(self) -> str:
        return f"{self._name} ({self.user}@{self.host}:{self.port})"

    def _refused(self, reason: str) -> UnreachableError:
        hint = NOTHING_DONE + unread(self._name, self.host)
        return UnreachableError(f"Connecting to {self._target} failed: {reason}.", hint=hint)

    def _lost(self, command: RemoteCommand, late: bool, reason: str) -> UnknownError:
        why = f"no end within {command.timeout.total_seconds():.0f} s" if late else reason
        return UnknownError(f"Unknown outcome {command}: {why}.", hint="It may still be running there.")


def connection_to(host: Host, ssh: Ssh) -> HostConnection:
    """Return a connection with its own connection to the gateway, so that one host's failure breaks no other's."""
    if ssh.gateway is None:
        return HostConnection(host, ssh)
    gateway = Host(
        name="the gateway", address=ssh.gateway.address, user=ssh.gateway.user, port=ssh.gateway.port, roles=()
    )
    return HostConnection(host, ssh, gateway=HostConnection(gateway, ssh))


def _config() -> Config:
    """Return Fabric's defaults, without any user's files or variables."""
    return Config(lazy=True, overrides={"load_ssh_configs": False})


def _connect_arguments(ssh: Ssh) -> dict[str, Any]:
    """Return new arguments for each connection: Fabric modifies them."""
    limits = dict.fromkeys(("banner_timeout", "auth_timeout", "channel_timeout"), ssh.connect_timeout)
    key = {"pkey": _user_key(Path(ssh.key).expanduser())} if ssh.key else {}
    return {**limits, **key, "look_for_keys": False, "allow_agent": ssh.key is None}


def _user_key(path: Path) -> PKey:
    """Return the user's key; Paramiko would try a file as each kind of key, and tell the last one's refusal."""
    hint = "ssh/key in the inventory names the file of a private key; without it, the agent's keys are used."
    try:
        return PKey.from_path(str(path))
    except OSError as error:
        raise UsageError(f"Reading the user key {path} failed: {error.strerror}.", hint=hint) from error
    except TypeError as error:  # a password is needed
        why = "it is encrypted; add it to the agent and take ssh/key out of the inventory"
        raise UsageError(f"Reading the user key {path} failed: {why}.") from error
    except Exception as error:  # whatever the libraries below make of a file that is no key
        raise UsageError(
            f"Reading the user key {path} failed: it is no private key ({_reason(error)}).", hint=hint
        ) from error


def _known_keys(path: Path, host: Host) -> KnownKeys:
    try:
        return known_keys(path.read_bytes(), host.address, host.port)
    except OSError as error:
        hint = "The inventory's ssh/known_hosts names the file; unknown hosts are refused."
        raise UsageError(f"Reading the host keys in {path} failed: {error.strerror}.", hint=hint) from error


def _reason(error: BaseException) -> str:
    if text := getattr(error, "strerror", None):
        return str(text)
    words = excerpt(" ".join(str(error).split())) or type(error).__name__
    return f"{words} ({type(error).__name__})" if isinstance(error, ValueError) else words

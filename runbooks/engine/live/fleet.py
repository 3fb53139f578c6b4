"""The hosts of an environment: a connection to each, reused by one command after the other."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress

from inventory.model import Host, Ssh
from runbooks.engine.live.ssh import NOTHING_DONE, HostConnection, NotSent, UnreachableError, connection_to
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand


class Fleet:
    """The hosts of an environment; a connection serves one thread at a time and is then reused."""

    def __init__(self, hosts: Mapping[str, Host], ssh: Ssh) -> None:
        # Paramiko logs the errors it raises; the operator should read them once.
        logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
        self._hosts = hosts
        self._ssh = ssh
        self._idle: dict[str, list[HostConnection]] = defaultdict(list)
        self._all: set[HostConnection] = set()
        self._guard = threading.Lock()
        self._closings = 0

    def run(self, command: RemoteCommand) -> ProbeOutput:
        """Run a command and return its output and exit code.

        Raises UnreachableError if it was not begun, UnknownError if its end was not seen.
        """
        closings = self._closings
        if idle := self._idle_one(command.host):
            with suppress(NotSent):  # the other end of an idle connection may be long gone
                return self._perform(idle, command)
            if self._closings != closings:
                raise UnreachableError(f"The connection to {command.host} was closed.", hint=NOTHING_DONE)
        return self._perform(self._new(command.host), command)

    def close(self) -> None:
        """Close every connection, including those in use."""
        with self._guard:
            self._closings += 1
            connections = list(self._all)
            self._all.clear()
            self._idle.clear()
        for connection in connections:
            connection.close()

    def _perform(self, connection: HostConnection, command: RemoteCommand) -> ProbeOutput:
        try:
            connection.reach()
            output = connection.perform(command)
        except BaseException:
            self._forget(connection)
            raise
        with self._guard:
            if connection in self._all:
                self._idle[command.host].append(connection)
        return output

    def _idle_one(self, name: str) -> HostConnection | None:
        """Return an idle connection that is still open; None if there is none."""
        while True:
            with self._guard:
                connection = self._idle[name].pop() if self._idle[name] else None
            if connection is None or connection.is_connected:
                return connection
            self._forget(connection)

    def _new(self, name: str) -> HostConnection:
        connection = connection_to(self._hosts[name], self._ssh)
        with self._guard:
            self._all.add(connection)
        return connection

    def _forget(self, connection: HostConnection) -> None:
        with self._guard:
            self._all.discard(connection)
        connection.close()

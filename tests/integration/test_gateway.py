"""Hosts behind a gateway: both keys are verified, each refusal says whose it was, and nothing is left open."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from errors import UnknownError
from inventory.model import Gateway
from rehearsal.ports import LOOPBACK
from rehearsal.waiting import await_condition
from runbooks.engine.live.fleet import Fleet
from runbooks.engine.live.ssh import UnreachableError
from runbooks.engine.model.actions import RemoteCommand
from tests.ssh_server import Server, new_key, running

# Of a link through a gateway that is gone, paramiko's own thread ends with an EOFError while it says goodbye.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")

LOOK = RemoteCommand(host="db", command="echo here")


@dataclass(frozen=True)
class Route:
    """A host, and the gateway before it."""

    gateway: Server
    target: Server

    def fleet(self, known_hosts: Path | None = None, port: int = 0) -> Fleet:
        """A fleet of this one host, or of another port there."""
        host, ssh = self.target.host, self.target.ssh
        gateway = Gateway(address=LOOPBACK, user="operator", port=self.gateway.host.port)
        ssh = replace(ssh, gateway=gateway, known_hosts=str(known_hosts or ssh.known_hosts), connect_timeout=1)
        return Fleet({"db": replace(host, port=port or host.port)}, ssh)


@pytest.fixture(scope="module")
def route(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Route]:
    with running(tmp_path_factory.mktemp("ssh"), 2) as servers:
        yield Route(*servers)


def refused(fleet: Fleet) -> str:
    with closing(fleet), pytest.raises(UnreachableError) as error:
        fleet.run(LOOK)
    assert error.value.hint == "Nothing was done there."
    return str(error.value)


def test_a_host_is_reached_through_the_gateway_and_both_connections_end(route: Route) -> None:
    with closing(route.fleet()) as fleet:
        assert fleet.run(LOOK).text == "here\n"
        assert not route.gateway.connections[-1].is_closed()
    for server in (route.target, route.gateway):
        await_condition(server.connections[-1].is_closed, doing="Waiting for the end of a connection", seconds=5)


@pytest.mark.parametrize("key", ["", "changed"])
def test_a_gateway_with_an_unknown_or_a_changed_key_is_refused_by_name(route: Route, tmp_path: Path, key: str) -> None:
    route.target.connections.clear()
    known = tmp_path / "known_hosts"
    known.write_text(route.target.known() + (route.gateway.known(new_key()) if key else ""))
    why = "its host key differs from the one in known_hosts" if key else "its host key is not in known_hosts"
    where = f"operator@127.0.0.1:{route.gateway.host.port}"
    assert refused(route.fleet(known)) == f"Connecting to the gateway ({where}) failed: {why}."
    assert route.target.connections == []


@pytest.mark.parametrize("key", ["", "changed"])
def test_a_host_behind_it_with_an_unknown_or_a_changed_key_is_refused(route: Route, tmp_path: Path, key: str) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(route.gateway.known() + (route.target.known(new_key()) if key else ""))
    why = "its host key differs from the one in known_hosts" if key else "its host key is not in known_hosts"
    assert (
        refused(route.fleet(known)) == f"Connecting to db (operator@127.0.0.1:{route.target.host.port}) failed: {why}."
    )
    await_condition(route.gateway.connections[-1].is_closed, doing="Waiting for the end of a connection", seconds=5)


def test_a_host_that_the_gateway_cannot_reach_is_a_failure_and_nothing_was_done(route: Route) -> None:
    with socket.socket() as unused:
        unused.bind((LOOPBACK, 0))
        port = unused.getsockname()[1]
    assert "the gateway can't reach it (" in refused(route.fleet(port=port))


def test_a_host_behind_it_that_never_answers_costs_its_timeout(route: Route) -> None:
    with socket.create_server((LOOPBACK, 0)) as silent:
        began = time.perf_counter()
        refused(route.fleet(port=silent.getsockname()[1]))
        assert time.perf_counter() - began < 5


def test_a_gateway_that_breaks_off_leaves_an_unknown_outcome(route: Route, tmp_path: Path) -> None:
    begun = tmp_path / "begun"
    with closing(route.fleet()) as fleet, ThreadPoolExecutor() as pool:
        running = pool.submit(fleet.run, replace(LOOK, command=f"touch {begun}; sleep 5"))
        await_condition(begun.exists, doing="Waiting for the command", seconds=5)
        route.gateway.cut()
        with pytest.raises(UnknownError, match="Unknown outcome on db: touch"):
            running.result()

"""Short commands on hosts: begun or not, ended or not, distinguished by what was sent and received."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from runbooks.engine.live.fleet import Fleet
from runbooks.engine.live.ssh import UnreachableError
from runbooks.engine.model.actions import RemoteCommand
from runbooks.engine.model.outcome import Outcome
from tests import relay
from tests.fakes import FakeNight
from tests.ssh_server import Server, running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("ssh")) as (server,):
        yield server


def command(text: str, seconds: float = 20) -> RemoteCommand:
    return RemoteCommand(host="db", command=text, timeout=timedelta(seconds=seconds))


def test_a_cached_connection_whose_other_end_hangs_is_closed_and_the_command_runs_once_or_not_at_all(
    server: Server, tmp_path: Path
) -> None:
    """The relay stands for a session's process that is stopped, while the server takes new ones."""
    count, known = tmp_path / "count", tmp_path / "known_hosts"
    with relay.before(server.host.port) as way:
        known.write_text(server.known().replace(f":{server.host.port} ", f":{way.port} "))
        ssh = replace(server.ssh, known_hosts=str(known), connect_timeout=1)
        with closing(Fleet({"db": replace(server.host, port=way.port)}, ssh)) as fleet:
            fleet.run(command("true"))
            way.freeze()
            try:
                heard = fleet.run(command(f"echo x >> {count}; echo again")).text
            except UnreachableError:
                assert not count.exists()
            else:
                assert (heard, count.read_text()) == ("again\n", "x\n")


@pytest.mark.parametrize("signal", ["KILL", "TERM"])
def test_a_command_that_a_signal_ended_has_failed(server: Server, signal: str) -> None:
    with closing(server.fleet()) as fleet:
        acted = replace(FakeNight().executor, ssh=fleet).act(command(f"kill -{signal} $$"), "killed", print)

    assert acted.outcome is Outcome.FAILED, acted.sentence


def test_a_command_that_asks_gets_no_answer_and_ends_at_once(server: Server) -> None:
    with closing(server.fleet()) as fleet:
        output = fleet.run(command("read answer || exit 3; echo acted", seconds=3))

    assert (output.code, output.text) == (3, "")

"""A known_hosts as OpenSSH allows it: one line that we can't use ends nothing, and a revoked key opens nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from errors import CutoverError, UsageError
from runbooks.engine.live.ssh import UnreachableError
from runbooks.engine.model.actions import RemoteCommand
from tests.ssh_server import Server, new_key, running

STRANGER = new_key().export_public_key().decode().strip()  # another one in each process


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("ssh")) as (server,):
        yield server


def said(server: Server, known: Path) -> str:
    """Return the output of a host that is known by this file."""
    with closing(server.fleet(known_hosts=str(known))) as fleet:
        return fleet.run(RemoteCommand(host="db", command="echo here")).text


@pytest.mark.parametrize("hosts", ["@cert-authority *.example.com", "@revoked *"])
def test_a_marked_line_about_other_hosts_disturbs_none(server: Server, tmp_path: Path, hosts: str) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(f"{hosts} {STRANGER}\n{server.known()}")

    assert said(server, known) == "here\n"


@pytest.mark.parametrize("hosts", ["*", "here"])
def test_a_host_that_shows_a_revoked_key_is_refused(server: Server, tmp_path: Path, hosts: str) -> None:
    known = tmp_path / "known_hosts"
    where, key = server.known().split(" ", 1)
    known.write_text(f"{server.known()}@revoked {where if hosts == 'here' else hosts} {key}")

    with pytest.raises((UnreachableError, UsageError)):
        said(server, known)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"old.example.com ssh-ed25519 AAAAC3Nza!!!\n", id="no key"),
        pytest.param(b"old.example.com ssh-rsa AAAAB3NzaC1yc2E\n", id="half a key"),
        pytest.param(b"# B\xfcro\n", id="comment"),
        pytest.param(b"b\xfcro.example.com " + STRANGER.encode() + b"\n", id="host"),
    ],
)
def test_an_unreadable_line_is_skipped_or_reported_with_its_file(server: Server, tmp_path: Path, line: bytes) -> None:
    known = tmp_path / "known_hosts"
    known.write_bytes(line + server.known().encode())

    try:
        heard = said(server, known)
    except UsageError as error:
        assert str(known) in str(error)
    else:
        assert heard == "here\n"


@pytest.mark.parametrize(
    ("before", "pattern"), [("", "[127.0.0.*]:"), ("\ufeff", "[127.0.0.1]:")], ids=["wildcard", "byte order mark"]
)
def test_a_host_that_the_file_names_in_another_way_is_reached_or_refused_for_the_right_reason(
    server: Server, tmp_path: Path, before: str, pattern: str
) -> None:
    known = tmp_path / "known_hosts"
    known.write_text(before + server.known().replace("[127.0.0.1]:", pattern), encoding="utf-8")

    try:
        assert said(server, known) == "here\n"
    except CutoverError as error:
        assert "its host key is not in known_hosts" not in str(error)

"""The fleet against a real SSH server: keys verified, outcomes distinguished, nothing left hanging."""

from __future__ import annotations

import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from paramiko import Channel

from errors import UnknownError, UsageError
from rehearsal.waiting import await_condition
from runbooks.engine.live import ssh as door
from runbooks.engine.live.fleet import Fleet
from runbooks.engine.live.ssh import UnreachableError
from runbooks.engine.model.actions import ProbeOutput, RemoteCommand
from tests import relay
from tests.ssh_server import Server, new_key, running

MB = 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("ssh")) as (server,):
        yield server


def command(text: str, seconds: float = 20) -> RemoteCommand:
    return RemoteCommand(host="db", command=text, timeout=timedelta(seconds=seconds))


def measured(fleet: Fleet, text: str) -> tuple[float, int]:
    """Seconds of this process's work that a command costs, and the most bytes that it holds at a time."""
    tracemalloc.start()
    began = time.process_time()
    fleet.run(command(text, seconds=60))
    spent, (_, peak) = time.process_time() - began, tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return spent, peak


def test_a_command_returns_its_output_and_exit_code(server: Server) -> None:
    with closing(server.fleet()) as fleet:
        assert fleet.run(command("echo 'café ☕'; echo oh >&2; exit 3")) == ProbeOutput(
            code=3, text="café ☕\n", error="oh\n"
        )


def test_one_connection_serves_one_command_at_a_time_and_the_next(server: Server) -> None:
    server.connections.clear()
    with closing(server.fleet()) as fleet:
        for _ in range(3):
            fleet.run(command("true"))
        assert len(server.connections) == 1
        with ThreadPoolExecutor(4) as pool:
            outputs = list(pool.map(lambda number: fleet.run(command(f"sleep 0.3; echo {number}")), range(4)))
        assert [output.text for output in outputs] == ["0\n", "1\n", "2\n", "3\n"]
        assert len(server.connections) == 4


def test_much_output_costs_neither_memory_nor_more_than_its_share_of_time(server: Server) -> None:
    with closing(server.fleet()) as fleet:
        spent, peaks = zip(*(measured(fleet, f"yes ☕ | head -c {size}") for size in (10 * MB, 100 * MB)), strict=True)
    assert peaks[1] < 1.5 * peaks[0]
    assert spent[1] < 20 * spent[0]


def test_the_end_of_much_output_is_kept_and_the_omitted_part_is_counted(server: Server) -> None:
    with closing(server.fleet()) as fleet:
        first, *lines = fleet.run(command("seq 1 1000000; echo '{}'")).text.splitlines()
    assert lines[-2:] == ["1000000", "{}"]
    assert first == f"[{6_888_899 - sum(len(line) + 1 for line in lines)} bytes before this are omitted]"
    assert len("\n".join(lines)) > MB - 10


def test_no_character_is_corrupted_on_the_way(server: Server) -> None:
    with closing(server.fleet()) as fleet:
        assert fleet.run(command("yes '☕☕☕☕☕' | head -n 60000")).text == "☕☕☕☕☕\n" * 60000


@pytest.mark.parametrize(
    "content", ["", "other.host ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIC1lIHRoaXMgaXMgbm90IGEga2V5IGF0IGFsbCBvaw==\n"]
)
def test_an_unknown_host_key_is_refused(server: Server, tmp_path: Path, content: str) -> None:
    (tmp_path / "known").write_text(content)
    with (
        closing(server.fleet(known_hosts=str(tmp_path / "known"))) as fleet,
        pytest.raises(UnreachableError) as refused,
    ):
        fleet.run(command("true"))
    assert "db (operator@127.0.0.1" in str(refused.value)
    assert "its host key is not in known_hosts" in str(refused.value)


def test_a_changed_host_key_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "known").write_text(server.known(new_key()))
    changed = pytest.raises(UnreachableError, match="its host key differs from the one in known_hosts")
    with closing(server.fleet(known_hosts=str(tmp_path / "known"))) as fleet, changed:
        fleet.run(command("true"))


def test_a_missing_known_hosts_file_is_an_error_in_the_inventory(server: Server) -> None:
    with pytest.raises(UsageError, match="Reading the host keys in /nowhere failed"):
        server.fleet(known_hosts="/nowhere").run(command("true"))


def test_an_unknown_user_key_is_refused(server: Server, tmp_path: Path) -> None:
    new_key().write_private_key(tmp_path / "key")
    refused = pytest.raises(UnreachableError, match="it does not let operator in")
    with closing(server.fleet(key=str(tmp_path / "key"))) as fleet, refused:
        fleet.run(command("true"))


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "it is no private key"),
        (b"ssh-ed25519 AAAAC3 chris@laptop\n", "it is no private key"),
        (b"B\xfcro\x00", "it is no private key"),
        (new_key().export_private_key(passphrase="a secret"), "it is encrypted; add it to the agent"),
    ],
    ids=["empty", "public", "bytes", "encrypted"],
)
def test_a_user_key_that_cannot_be_used_is_a_mistake_in_the_inventory(
    server: Server, tmp_path: Path, content: bytes, why: str
) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(UsageError, match=f"Reading the user key {tmp_path}/key failed: {why}"):
        server.fleet(key=str(tmp_path / "key")).run(command("true"))


@pytest.mark.parametrize("ended_before", [False, True])
def test_a_login_shell_that_runs_no_command_is_a_failure_and_nothing_was_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended_before: bool
) -> None:
    """An account that is locked, or one for copying files alone; it may end before the script is sent."""
    if ended_before:
        send = Channel.sendall

        def send_late(channel: Channel, script: bytes) -> None:
            await_condition(lambda: channel.closed, doing="Waiting for the shell's end", seconds=10)
            send(channel, script)

        monkeypatch.setattr(Channel, "sendall", send_late)
    shell = tmp_path / "nologin"
    shell.write_text("#!/bin/sh\necho This account is not available\nexit 1\n")
    shell.chmod(0o755)
    with running(tmp_path, shell=str(shell)) as (locked,), closing(locked.fleet()) as fleet:
        with pytest.raises(UnreachableError, match=r"ran no sh \(exit 1: This account is not available\)") as refused:
            fleet.run(command("echo acted"))
        assert refused.value.hint == "Nothing was done there."


def test_every_idle_connection_whose_other_end_hangs_is_replaced(server: Server, tmp_path: Path) -> None:
    known = tmp_path / "known_hosts"
    with relay.before(server.host.port) as way:
        known.write_text(server.known().replace(f":{server.host.port} ", f":{way.port} "))
        ssh = replace(server.ssh, known_hosts=str(known), connect_timeout=1)
        with closing(Fleet({"db": replace(server.host, port=way.port)}, ssh)) as fleet, ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda _: fleet.run(command("sleep 0.5")), range(3)))
            way.freeze()
            for number in range(3):
                assert fleet.run(command(f"echo {number}")).text == f"{number}\n"


def test_what_the_users_own_file_has_is_told_where_a_host_is_not_reached(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host db\n  Port 2222\n  ProxyJump bastion\n")
    (tmp_path / "known").write_text("")
    with pytest.raises(UnreachableError) as refused:
        server.fleet(known_hosts=str(tmp_path / "known")).run(command("true"))
    assert "~/.ssh/config has Port, ProxyJump for it and is not read" in refused.value.hint


def test_a_closed_port_is_a_failure_and_nothing_was_done(server: Server) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(UnreachableError) as refused:
        Fleet({"db": replace(server.host, port=port)}, server.ssh).run(command("true"))
    assert refused.value.hint == "Nothing was done there."


def test_a_host_that_accepts_and_never_answers_costs_its_timeout(server: Server) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        host = replace(server.host, port=silent.getsockname()[1])
        began = time.perf_counter()
        with pytest.raises(UnreachableError, match="failed: no greeting of an SSH server within 1 s"):
            Fleet({"db": host}, replace(server.ssh, connect_timeout=1)).run(command("true"))
        assert time.perf_counter() - began < 4


def test_a_command_that_takes_too_long_has_an_unknown_outcome(server: Server) -> None:
    with closing(server.fleet()) as fleet:
        began = time.perf_counter()
        with pytest.raises(UnknownError, match="Unknown outcome on db: sleep 5: no end within 1 s"):
            fleet.run(command("sleep 5", seconds=0.6))
        assert time.perf_counter() - began < 3
        assert fleet.run(command("echo again")).text == "again\n"


def test_a_connection_abandoned_as_its_command_ends_is_not_used_while_it_is_being_closed(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop that slept through a command's time did so: it woke to both."""
    ended, close = threading.Event(), door.HostConnection.close

    def closed_late(connection: door.HostConnection) -> None:
        assert ended.wait(10)
        threading.Event().wait(0.3)  # long enough for the next command to have begun
        close(connection)

    with closing(server.fleet()) as fleet:
        fleet.run(command("true"))
        with monkeypatch.context() as patch:
            patch.setattr(door.HostConnection, "close", closed_late)
            patch.setattr(door._Remote, "run", said_when(ended, door._Remote.run))
            assert fleet.run(command("sleep 0.6; echo late", seconds=0.3)).text == "late\n"
            assert fleet.run(command("sleep 0.6; echo there")).text == "there\n"


def said_when(ended: threading.Event, run: Callable[..., object]) -> Callable[..., object]:
    """A command's run, which says when it has ended."""

    def said(*args: object, **options: object) -> object:
        result = run(*args, **options)
        ended.set()
        return result

    return said


def test_a_link_that_breaks_leaves_an_unknown_outcome(server: Server) -> None:
    with closing(server.fleet()) as fleet:
        fleet.run(command("true"))
        threading.Timer(0.5, server.cut).start()
        with pytest.raises(UnknownError, match="Unknown outcome"):
            fleet.run(command("sleep 5"))
        assert fleet.run(command("echo again")).text == "again\n"


def test_closing_lets_go_of_a_running_command(server: Server, tmp_path: Path) -> None:
    fleet, begun = server.fleet(), tmp_path / "begun"

    def close() -> None:
        await_condition(begun.exists, doing="Waiting for the command", seconds=10)
        fleet.close()

    closer = threading.Thread(target=close)
    closer.start()
    began = time.perf_counter()
    with pytest.raises(UnknownError):
        fleet.run(command(f"touch {begun}; sleep 20"))
    assert time.perf_counter() - began < 10
    closer.join()


def test_personal_files_and_variables_change_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("fabric", "invoke"):
        (tmp_path / f".{name}.yaml").write_text(
            "run: {warn: true, dry: true}\nuser: mallory\nconnect_kwargs: {password: x}\n"
        )
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_text("Host *\n  User mallory\n  Port 1\n  ProxyCommand false\n")
    for name in ("INVOKE_RUN_DRY", "FABRIC_RUN_DRY", "FABRIC_RUN_WARN"):
        monkeypatch.setenv(name, "1")
    with closing(server.fleet()) as fleet:
        assert fleet.run(command("echo here; exit 4")) == ProbeOutput(code=4, text="here\n")

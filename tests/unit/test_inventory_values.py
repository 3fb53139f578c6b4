"""Values of an inventory are taken as a person wrote them, or are mistakes with path and line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from errors import UsageError
from inventory import load
from inventory.model import Environment

GOOD = (load.FOLDER / "rehearsal.yaml").read_text()
MASTER = "master: {host: db-master"
DEBUG = "debug: {address: debug.rehearsal, user: operator, roles: [debug]}"
NIGHT = "2014-08-15: {depth: all, exclude: {schools: [21], customers: []}}"


@pytest.fixture(autouse=True)
def no_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path))


def loaded(folder: Path, good: str, bad: str) -> Environment:
    assert good in GOOD
    path = folder / "written.yaml"
    path.write_text(GOOD.replace(good, bad, 1))
    return load.load_file(path)


def refused(folder: Path, good: str, bad: str) -> str:
    with pytest.raises(UsageError) as caught:
        loaded(folder, good, bad)
    return str(caught.value)


def connected(text: str) -> tuple[str, str]:
    """The scratch database's connection with one more keyword."""
    begin = next(line for line in GOOD.splitlines() if line.startswith("scratch:"))
    return begin, begin.replace("connection: {", f"connection: {{{text}, ")


@pytest.mark.parametrize("port", ["6432", '"6432"', '"6432,6433"', '""'])
def test_a_port_of_a_connection_may_stand_with_and_without_quotation_marks(tmp_path: Path, port: str) -> None:
    connection = loaded(tmp_path, *connected(f"port: {port}")).scratch.connection
    assert connection["port"] == port.strip('"')


@pytest.mark.parametrize("port", ["65536", "0", "-1", "06432", '"06432"', "1:30", "0x1920", '"5432,x"', "post"])
def test_an_invalid_port_of_a_connection_is_a_mistake_with_path_and_line(tmp_path: Path, port: str) -> None:
    said = refused(tmp_path, *connected(f"port: {port}"))
    assert "scratch/connection/port: expected a number from 1 to 65535" in said
    assert "(line " in said


@pytest.mark.parametrize("port", ["true", "1.5", "[1]"])
def test_what_is_no_port_at_all_is_a_mistake_of_its_kind(tmp_path: Path, port: str) -> None:
    assert "scratch/connection/port: expected a string" in refused(tmp_path, *connected(f"port: {port}"))


@pytest.mark.parametrize("address", ['"::1"', '"fe80::1%eth0"', "10.0.0.1", "db_1.example.com", "bücher.example", "x."])
def test_an_address_that_a_socket_takes_is_taken(tmp_path: Path, address: str) -> None:
    host = loaded(tmp_path, DEBUG, DEBUG.replace("debug.rehearsal", address)).hosts["debug"]
    assert host.address == address.strip('"')


@pytest.mark.parametrize("address", ['"ssh://debug"', '"[::1]"', '"debug:22"', '"de bug"', f"{'x' * 64}.example"])
def test_an_address_that_no_socket_takes_is_a_mistake_with_its_line(tmp_path: Path, address: str) -> None:
    said = refused(tmp_path, DEBUG, DEBUG.replace("debug.rehearsal", address))
    assert "hosts/debug/address: expected the name or the IP address of a machine" in said
    assert "(line " in said


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("only: {schools: {0: why}}", "only/schools/0"),
        ("only: {customers: {-3: why}}", "only/customers/-3"),
        ("depths: {schools: {-1: all}}", "depths/schools/-1"),
        ("exclude: {customers: [0]}", "exclude/customers/1"),
    ],
)
def test_an_id_below_one_is_a_mistake_wherever_it_stands(tmp_path: Path, written: str, path: str) -> None:
    said = refused(tmp_path, NIGHT, f"2014-08-15: {{depth: all, {written}}}")
    assert f"nights/2014-08-15/{path}: expected a number from 1" in said


def test_merges_may_be_several_and_what_stands_beside_them_counts(tmp_path: Path) -> None:
    merged = "debug: {<<: [&a {user: kim, port: 22}, &b {user: operator, address: x}], port: 2222, roles: [debug]}"
    debug = loaded(tmp_path, DEBUG, merged).hosts["debug"]
    assert (debug.user, debug.port, debug.address) == ("kim", 2222, "x")


@pytest.mark.parametrize(
    "written",
    ["tool: {<<: {a: b, a: c}}", "tool: {<<: inv}", "tool: !!bool perhaps", "tool: !!float x", "tool: !!int []"],
)
def test_what_yaml_can_not_build_is_a_mistake_of_the_file(tmp_path: Path, written: str) -> None:
    assert "written.yaml" in refused(tmp_path, "tool: inv", written)


@pytest.mark.parametrize("url", ["http://[::1/hook", "https://", "ftp://example.com", "https:/example.com"])
def test_a_url_that_is_none_is_a_mistake_with_its_path(tmp_path: Path, url: str) -> None:
    assert "webhook/url: expected a URL" in refused(tmp_path, "\nhosts:", f'\nwebhook: {{url: "{url}"}}\nhosts:')


def test_a_broker_that_is_no_url_is_a_mistake_with_its_path(tmp_path: Path) -> None:
    assert "queue/broker" in refused(tmp_path, "\nhosts:", '\nqueue: {broker: "redis://[::1/0"}\nhosts:')


def test_the_inventory_itself_has_no_mistake(tmp_path: Path) -> None:
    """Proves that what is refused above is refused for what was changed."""
    assert loaded(tmp_path, MASTER, MASTER).nights[date(2014, 8, 15)].exclude.schools == (21,)

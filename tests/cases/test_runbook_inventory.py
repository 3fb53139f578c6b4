"""Values that a person writes into an inventory are taken as meant, or refused with their path, before any request."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from errors import CutoverError, UsageError
from inventory import load
from inventory.model import Environment
from runbooks.engine.model.actions import DnsLookup
from runbooks.night.live_ports import NameServer

GOOD = (load.FOLDER / "rehearsal.yaml").read_text()
NIGHT = "2014-08-15: {depth: all, exclude: {schools: [21], customers: []}}"
DEBUG = "debug: {address: debug.rehearsal, user: operator, roles: [debug]}"


@pytest.fixture(autouse=True)
def no_lab(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Lay nothing over the inventory."""
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path))


def loaded(folder: Path, good: str, bad: str) -> Environment:
    """The rehearsal's inventory with something else in one place."""
    assert good in GOOD
    path = folder / "written.yaml"
    path.write_text(GOOD.replace(good, bad, 1))
    return load.load_file(path)


def refused(folder: Path, good: str, bad: str) -> str:
    """Return the refusal."""
    with pytest.raises(UsageError) as caught:
        loaded(folder, good, bad)
    return str(caught.value)


@pytest.mark.parametrize("number", ["021", "0x15", "1:30", "2_1", "-21", "0"])
def test_an_id_that_yaml_reads_otherwise_than_a_person_is_an_error_with_its_path(tmp_path: Path, number: str) -> None:
    said = refused(tmp_path, NIGHT, NIGHT.replace("[21]", f"[{number}]"))
    assert "nights/2014-08-15/exclude/schools/1" in said


@pytest.mark.parametrize("number", ["022", "1:30"])
def test_a_port_that_yaml_reads_otherwise_than_a_person_is_an_error_with_its_path(tmp_path: Path, number: str) -> None:
    said = refused(tmp_path, DEBUG, DEBUG.replace("user:", f"port: {number}, user:"))
    assert "hosts/debug/port" in said


def test_an_id_that_is_not_a_number_in_yaml_is_an_error_with_its_path(tmp_path: Path) -> None:
    """Proves that 09 and 0o21, which YAML 1.1 takes for text, are no danger."""
    for number in ("09", "0o21", "21.0"):
        said = refused(tmp_path, NIGHT, NIGHT.replace("[21]", f"[{number}]"))
        assert "nights/2014-08-15/exclude/schools/1" in said


@pytest.mark.parametrize("template", ["{{ excluded }}", "[{{ excluded }}]"])
def test_a_template_that_was_never_filled_in_is_an_error(tmp_path: Path, template: str) -> None:
    assert "written.yaml" in refused(tmp_path, NIGHT, NIGHT.replace("[21]", template))


def test_nested_lists_are_an_error_however_deep(tmp_path: Path) -> None:
    assert "written.yaml" in refused(tmp_path, "tool: inv", f"tool: {'[' * 3000}{']' * 3000}")


def test_a_yaml_merge_is_applied_or_refused_by_name(tmp_path: Path) -> None:
    below = "control: {address: control.rehearsal, user: operator, roles: [control]}\n  "
    merged = below.replace("control:", "control: &c", 1) + DEBUG.replace("user: operator", "<<: *c")
    try:
        debug = loaded(tmp_path, below + DEBUG, merged).hosts["debug"]
    except UsageError as error:
        assert "<<" in str(error)
    else:
        assert (debug.address, debug.user) == ("debug.rehearsal", "operator")


def test_an_equals_sign_is_text_or_refused_with_its_path(tmp_path: Path) -> None:
    try:
        tool = loaded(tmp_path, "\ntool: inv", "\ntool: =").tool
    except UsageError as error:
        assert "tool:" in str(error)
    else:
        assert tool == "="


@pytest.mark.parametrize("address", ["chris@debug.rehearsal", "debug..rehearsal", "''"])
def test_an_invalid_address_is_an_error_with_its_path(tmp_path: Path, address: str) -> None:
    said = refused(tmp_path, DEBUG, DEBUG.replace("debug.rehearsal", address))
    assert "hosts/debug/address" in said


@pytest.mark.parametrize("address", ["chris@gate.rehearsal", "gate..rehearsal", "''"])
def test_an_invalid_address_of_a_gateway_is_an_error_with_its_path(tmp_path: Path, address: str) -> None:
    said = refused(tmp_path, "\nhosts:", f"\nssh: {{gateway: {{address: {address}, user: chris}}}}\nhosts:")
    assert "ssh/gateway/address" in said


@pytest.mark.parametrize("port", ["221030", "65536", "0", "-22"])
def test_an_invalid_port_is_an_error_with_its_path(tmp_path: Path, port: str) -> None:
    assert "hosts/debug/port" in refused(tmp_path, DEBUG, DEBUG.replace("user:", f"port: {port}, user:"))
    assert "dns/port" in refused(tmp_path, "\nhosts:", f"\ndns: {{server: 127.0.0.1, port: {port}}}\nhosts:")


def test_a_name_server_given_by_its_name_is_refused_in_a_sentence(tmp_path: Path) -> None:
    """The error is raised when the inventory is read, or when it is used."""
    with pytest.raises(CutoverError, match=r"dns/server|no-such-server\.invalid"):
        environment = loaded(tmp_path, "\nhosts:", "\ndns: {server: no-such-server.invalid}\nhosts:")
        NameServer(environment.dns).look_up(DnsLookup(names=("warehouse.ttm.com",)))


def test_a_valid_inventory_is_unchanged(tmp_path: Path) -> None:
    """Proves that the mistakes above are the only ones."""
    exact = loaded(tmp_path, NIGHT, NIGHT.replace("[21]", "[21, 1010]"))
    assert exact.nights[date(2014, 8, 15)].exclude.schools == (21, 1010)
    assert loaded(tmp_path, "debug.rehearsal,", '"::1", port: 65535,').hosts["debug"].port == 65535

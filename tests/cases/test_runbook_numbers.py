"""A plain number that a person wrote is read as that number, or is an error with its path."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from errors import Problems, UsageError
from inventory import load
from inventory.model import Environment

GOOD = (load.FOLDER / "rehearsal.yaml").read_text()
DEBUG = "debug: {address: debug.rehearsal, user: operator, roles: [debug]}"


def loaded(folder: Path, good: str, bad: str) -> Environment:
    """The rehearsal's inventory with a part of it written otherwise."""
    assert good in GOOD
    path = folder / "broken.yaml"
    path.write_text(GOOD.replace(good, bad))
    return load.load_file(path)


@pytest.mark.parametrize(
    "written",
    ["021", "1:21", "0x15", "2_1", "0b10101", "-21", "0"],
)
def test_an_excluded_school_is_a_positive_decimal_integer_or_an_error(tmp_path: Path, written: str) -> None:
    try:
        night = loaded(tmp_path, "schools: [21]", f"schools: [{written}]").nights[date(2014, 8, 15)]
    except Problems as problems:
        assert "nights/2014-08-15/exclude/schools/1" in str(problems)
    else:
        pytest.fail(f"{written} was taken for {night.exclude.schools}")


@pytest.mark.parametrize("written", ["022", "0x16", "2_2", "0", "-1", "65536"])
def test_a_port_is_a_decimal_number_from_1_to_65535_or_an_error(tmp_path: Path, written: str) -> None:
    try:
        host = loaded(tmp_path, DEBUG, DEBUG.replace("user:", f"port: {written}, user:")).hosts["debug"]
    except Problems as problems:
        assert "hosts/debug/port" in str(problems)
    else:
        pytest.fail(f"{written} was taken for port {host.port}")


@pytest.mark.parametrize("template", ["{{ tool }}", "{? [inv] : x}"])
def test_an_invalid_key_is_an_error_in_the_file(tmp_path: Path, template: str) -> None:
    with pytest.raises(UsageError, match=r"broken\.yaml"):
        loaded(tmp_path, "tool: inv", f"tool: {template}")


def test_a_merge_key_merges_or_is_an_error_with_its_path(tmp_path: Path) -> None:
    merging = "debug: {<<: &person {user: operator, port: 2222}, address: debug.rehearsal, roles: [debug]}"

    try:
        debug = loaded(tmp_path, DEBUG, merging).hosts["debug"]
    except Problems as problems:
        assert "hosts/debug" in str(problems)
    else:
        assert (debug.user, debug.port, debug.address) == ("operator", 2222, "debug.rehearsal")


def test_an_equals_sign_is_text_or_an_error_with_its_path(tmp_path: Path) -> None:
    try:
        environment = loaded(tmp_path, "tool: inv", "tool: =")
    except Problems as problems:
        assert "tool" in str(problems)
    else:
        assert environment.tool == "="


def test_an_inventory_that_contains_itself_is_an_error_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"broken\.yaml"):
        loaded(tmp_path, "tool: inv", "tool: &tool [*tool]")

"""An inventory as other teams write it: as short as it may be, and each slip of the pen is said in one line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from errors import UsageError
from inventory import load
from inventory.model import Environment, Role
from runbooks.cli.debug_host import belongs_elsewhere

ALONE = """
databases:
  master: {connection: {service: shop}}
scratch: {connection: {service: shop-scratch}}
store: {bucket: shop-archives, prefix: shop}
"""
DEBUG = "hosts: {debug: {address: debug.example.com, user: deploy, roles: [debug]}}"


def loaded(folder: Path, text: str) -> Environment:
    path = folder / "shop.yaml"
    path.write_text(text)
    return load.load_file(path)


def refused(folder: Path, text: str) -> str:
    with pytest.raises(UsageError) as caught:
        loaded(folder, text)
    return str(caught.value)


def test_databases_scratch_and_store_are_an_inventory(tmp_path: Path) -> None:
    shop = loaded(tmp_path, ALONE)

    assert (shop.name, shop.hosts, shop.app, shop.warehouse, shop.probes, shop.nights) == (
        *("shop", {}, None, None, None, {}),
    )
    assert shop.production, "an environment of which nothing is said is not taken for a playground"
    assert (shop.timezone, shop.school_year(date(2014, 1, 1))) == ("UTC", 2014)
    assert not belongs_elsewhere(shop, here=False)


@pytest.mark.parametrize("port", ["5432", '"5432"'])
def test_a_port_of_a_connection_may_have_quotation_marks_or_not(tmp_path: Path, port: str) -> None:
    shop = loaded(tmp_path, ALONE.replace("service: shop}", f"service: shop, port: {port}}}"))

    assert shop.master.connection == {"service": "shop", "port": "5432"}


def test_a_host_that_archives_needs_no_other_hosts(tmp_path: Path) -> None:
    shop = loaded(tmp_path, f"{ALONE}{DEBUG}")

    assert belongs_elsewhere(shop, here=False)
    assert not belongs_elsewhere(shop, here=True)
    assert shop.only(Role.DEBUG).name == "debug"


@pytest.mark.parametrize("written", ["nights: {2014-08-15: {depth: all}}", "commands: {maintenance.on: x}"])
def test_a_word_of_nights_asks_for_all_that_a_night_needs_at_once(tmp_path: Path, written: str) -> None:
    said = refused(tmp_path, f"{ALONE}{written}")

    first = written.split(":")[0]
    for key in ("app", "warehouse", "probes"):
        assert f"{key}: expected a mapping, because {first} is given and a night needs it, got nothing" in said
    assert all(f"hosts: expected a host with the role {role.value}, got none" in said for role in Role)
    assert "databases/master/host: expected a host with the role database, got nothing" in said


@pytest.mark.parametrize(
    ("more", "path"),
    [
        ("data_directory: /data", "databases/master/host: expected the server that has its data_directory"),
        ("host: db1", "databases/master/host: expected a host with the role database, got 'db1'"),
    ],
)
def test_what_is_done_on_a_server_asks_for_it(tmp_path: Path, more: str, path: str) -> None:
    assert path in refused(tmp_path, ALONE.replace("service: shop}", f"service: shop}}, {more}"))


def test_backups_ask_for_the_servers_of_all_databases(tmp_path: Path) -> None:
    said = refused(tmp_path, f"{ALONE}backups: {{way: dump, store: {{bucket: b, prefix: p}}}}")
    assert "databases/master/host: expected the server of its backups, because backups is given" in said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (ALONE.replace("prefix", "prefxi"), "store/prefxi: unknown key (did you mean prefix?) (line 5)"),
        (f"{ALONE}{DEBUG.replace('user', 'usr')}", "hosts/debug/usr: unknown key (did you mean user?) (line 6)"),
        (f"{ALONE}timezoen: UTC\n", "timezoen: unknown key (did you mean timezone?) (line 6)"),
        (f"{ALONE}colour: red\n", "colour: unknown key (line 6)"),
        (
            ALONE.replace("prefix: shop", "prefix: 2014"),
            'store/prefix: expected a string, got 2014 (write "2014") (line 5)',
        ),
        (
            ALONE + DEBUG.replace("user", 'port: "22", user'),
            "hosts/debug/port: expected a whole number, got '22' (write 22) (line 6)",
        ),
        (
            f"{ALONE}{DEBUG.replace('user', 'port: 022, user')}",
            "hosts/debug/port: expected a whole number, got 022 (a text needs quotation marks) (line 6)",
        ),
        (
            ALONE.replace("  master", "\tmaster"),
            "shop.yaml is not YAML: a tab, where only spaces indent (line 3, column 1).",
        ),
        ("", "shop.yaml is empty."),
        ("# shop\n", "shop.yaml is empty."),
        (
            "- hosts: all\n  tasks: []\n",
            "shop.yaml: expected a mapping at the top, got [{'hosts': 'all', 'tasks': []}].",
        ),
        (
            "version: '3'\nservices: {web: {image: nginx}}\n",
            "shop.yaml is no inventory: it has no key of one, but version, services.",
        ),
    ],
    ids=[
        "key",
        "host key",
        "top key",
        "far key",
        "number",
        "quoted",
        "octal",
        "tab",
        "empty",
        "comment",
        "list",
        "other",
    ],
)
def test_each_slip_of_the_pen_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    lines = refused(tmp_path, text).splitlines()

    assert lines[-1].removeprefix("  - ") == said
    assert len(lines) <= 2, lines


def test_the_name_of_an_environment_is_that_of_its_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copied from production.yaml and not renamed, it would share locks, journals and archives with production."""
    monkeypatch.setattr(load, "FOLDER", tmp_path)
    (tmp_path / "shop.yaml").write_text(f"environment: production\n{ALONE}")

    with pytest.raises(UsageError, match=r"shop\.yaml: environment: expected shop, as the file is called"):
        load.load("shop")


def test_a_catalog_is_no_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "FOLDER", tmp_path)
    for name in ("shop", "shop-catalog", "catalog", "example"):
        (tmp_path / f"{name}.yaml").write_text(ALONE)

    assert load.names() == ("shop",)

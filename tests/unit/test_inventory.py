"""The inventory: a valid file loads, and every error of an invalid one is reported with its path."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from errors import Problems, UsageError
from inventory import files, load
from inventory.catalog import DEFAULT_DEPTH
from inventory.model import Environment, Exclusion, Role

SECRET = "AGE-SECRET-KEY-1QQQQQQQQ"
GOOD = (load.FOLDER / "rehearsal.yaml").read_text()


def written(folder: Path, text: str) -> Path:
    path = folder / "broken.yaml"
    path.write_text(text)
    return path


def problems(folder: Path, text: str) -> str:
    with pytest.raises(Problems) as caught:
        load.load_file(written(folder, text))
    return str(caught.value)


@pytest.mark.parametrize("name", ["production", "staging", "rehearsal"])
def test_every_environment_loads(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path))
    environment = load.load(name)

    assert environment.name == name
    assert environment.production is (name == "production")
    assert len(environment.with_role(Role.DATABASE)) == 5
    assert environment.master.host == "db-master"
    assert [shard.name for shard in environment.shards] == ["shard_1", "shard_2", "shard_3", "shard_4"]


def test_example_explains_every_key() -> None:
    environment = load.load_file(load.FOLDER / "example.yaml")
    text = (load.FOLDER / "example.yaml").read_text()

    assert environment.nights[date(2014, 8, 15)].backup_max_age == timedelta(hours=26)
    blocks = blocks_of(text)
    missing = [
        f"{name}/{key}"
        for name, hint in get_type_hints(Environment).items()
        for key in ({name} | keys_of(hint) if name != "name" else set())
        if not re.search(rf"(?<![a-z_]){key}(?![a-z_])", blocks.get(name, ""))
    ]
    assert missing == []
    assert [depth for depth in load.load_catalog("catalog.yaml").depths if not re.search(rf"\b{depth}\b", text)] == []


def blocks_of(text: str) -> dict[str, str]:
    """Each top-level key of a YAML file with its lines and the comments before it."""
    blocks: dict[str, str] = {}
    block, key = "", ""
    for line in text.splitlines(keepends=True):
        if key and (line.startswith("#") or re.match(r"[a-z_]+:", line)):
            blocks[key], block, key = block, "", ""
        if found := re.match(r"([a-z_]+):", line):
            key = found[1]
        block += line
    return {**blocks, key: block}


def keys_of(kind: Any) -> set[str]:
    """Every field name that a file may hold, however deep."""
    if not is_dataclass(kind):
        return set().union(*(keys_of(arg) for arg in get_args(kind)))
    hints = get_type_hints(kind)
    own = {field.name for field in fields(kind)} - {"name"}
    return own.union(*(keys_of(hint) for hint in hints.values()))


def test_unknown_environment_names_those_that_exist() -> None:
    with pytest.raises(UsageError, match=r"'moon': inventory/ has local, production, rehearsal, staging"):
        load.load("moon")


@pytest.mark.parametrize(
    ("good", "bad", "expected"),
    [
        ("timezone: America/New_York", "timezone: Mars/Olympus", "timezone: expected a name such as America/New_York"),
        ("production: false", "production: perhaps", "production: expected true or false, got 'perhaps'"),
        ("production: false", "production: false\ncolour: red", "colour: unknown key (line 5)"),
        (
            "store: {",
            "fence: {close: fence, open: 'open {id}'}\nstore: {",
            "fence/close: expected a command with {id} in it, got 'fence'",
        ),
        ("roles: [debug]", "roles: [nobody]", "hosts/debug/roles/1: expected one of control, debug, database"),
        ("roles: [watcher]", "roles: []", "hosts: expected a host with the role watcher, got none"),
        ("roles: [watcher]", "roles: [watcher, control]", "hosts: expected one host with the role control, got 2"),
        ("address: debug.rehearsal", "address: control.rehearsal", "hosts/debug: expected an address of its own"),
        ("address: debug.rehearsal", "address: 5", "hosts/debug/address: expected a string, got 5"),
        ("address: debug.rehearsal,", "", "hosts/debug/address: expected a string, got nothing"),
        ("{host: db-shard-4,", "{host: db-shard-9,", "databases/shard_4/host: expected a host with the role database"),
        ("{host: db-shard-4,", "{host: db-shard-3,", "databases/shard_4/host: expected a server of its own"),
        (
            "connection: {host: db-shard-4.rehearsal, dbname: apangea, user: apangea}",
            "",
            "databases/shard_4: expected a connection or a config_var, got neither",
        ),
        (
            "\nprobes:",
            "  snapshots.create: x\naws: {instances: {db-master: i-0}}\nprobes:",
            "commands/snapshots.create: expected nothing, because aws/instances",
        ),
        ("dbname: scratch,", "password: x,", "scratch/connection/password: expected ~/.pgpass or a service file"),
        (
            "prefix: rehearsal}",
            "prefix: rehearsal, recipients: [age1x]}",
            "store/recipients/1: expected an age public key",
        ),
        ("prefix: rehearsal}", f"prefix: rehearsal, recipients: [{SECRET}]}}", "store/recipients/1: expected an age"),
        ("old: warehouse-old\n", "old: db-master\n", "warehouse/old: expected a host with the role warehouse"),
        ("depth: all, exclude", "depth: some, exclude", "nights/2014-08-15/depth: expected one of all, students"),
        (
            "customers: []",
            "customers: [1.5]",
            "nights/2014-08-15/exclude/customers/1: expected a whole number, got 1.5",
        ),
        ("2014-08-22: {depth: all,", "2014-08-42: {depth: all,", "nights/2014-08-42: expected a date YYYY-MM-DD"),
        (
            "2014-08-22: {depth: all,",
            "2014-08-22: {depth: all, ends: 10,",
            'ends: expected a time of day such as "06:00"',
        ),
        *(
            ("store: {", f"queue: {{{bad}}}\nstore: {{", expected)
            for bad, expected in (
                (
                    "broker: kafka://queue",
                    "queue/broker: expected redis:// or rediss:// or amqp:// or amqps://",
                ),
                ("broker: 'redis://'", "queue/broker: expected redis:// or rediss://"),
                ("broker: 'redis://queue:x'", "queue/broker: expected redis:// or rediss://"),
                ("broker: 'redis://queue?password=x'", "queue/broker: expected redis:// or rediss://"),
                ("variable: X", "queue/broker: expected a string, got nothing"),
                ("broker: 'redis://queue', variable: X, file: y", "queue: expected variable or file to hold"),
                (
                    "broker: 'redis://queue', password: x",
                    "queue/password: unknown key; expected one of broker, file, variable",
                ),
                ("broker: 'redis://queue', workers: 0", "queue/workers: expected 1 or more, got 0"),
            )
        ),
        *(
            ("store: {", f"{bad}\nstore: {{", expected)
            for bad, expected in (
                ("heroku: {app: x}", "heroku: expected a database with a config_var, got none"),
                ("heroku: {app: x, endpoint: 'http://api.heroku.com'}", "heroku/endpoint: expected a URL that begins"),
                ("aws: {instances: {debug: i-0}}", "aws/instances/debug: expected a host with the role database"),
                ("aws: {instances: {db-master: vol-1}}", "aws/instances/db-master: expected an instance's id (i-…)"),
                ("aws: {instances: {db-master: i-0}}", "aws/instances/db-shard-1: expected this server's instance"),
                ("aws: {zone: ttm.com}", "aws/zone: expected a hosted zone's id (Z…), got 'ttm.com'"),
                (
                    "backups: {way: base, store: {bucket: b, prefix: p}}",
                    "databases/shard_4/backup_directory: expected the directory of its backups",
                ),
                (
                    "backups: {way: tar, store: {bucket: b, prefix: p}}",
                    "backups/way: expected one of base, dump, got 'tar'",
                ),
                (
                    "backups: {way: dump, store: {bucket: b, prefix: p, recipients: [age1x]}, jobs: 0}",
                    "backups/store/recipients: expected none",
                ),
                ("aws: {zone: Z1, ttl: 0}", "aws/ttl: expected seconds, got 0"),
            )
        ),
        *(
            ("shard_4: {host: db-shard-4, connection: {", f"shard_4: {{host: db-shard-4, {bad}", expected)
            for bad, expected in (
                ("config_var: X, connection: {", "databases/shard_4/config_var: expected heroku to name the app"),
                ("config_var: X, connection: {", "connection: expected config_var alone to say host, dbname, user"),
            )
        ),
        ("school_year_starts: 09-01", "school_year_starts: 13-01", "school_year_starts: expected a day MM-DD"),
    ],
)
def test_an_error_is_named_by_its_path(tmp_path: Path, good: str, bad: str, expected: str) -> None:
    assert good in GOOD
    assert expected in problems(tmp_path, GOOD.replace(good, bad))


def test_an_identity_among_the_recipients_is_not_repeated(tmp_path: Path) -> None:
    bad = GOOD.replace("prefix: rehearsal}", f"prefix: rehearsal, recipients: [{SECRET}]}}")

    assert SECRET not in problems(tmp_path, bad)


@pytest.mark.parametrize("user", ["ann:hunter2", ":hunter2"])
def test_a_password_of_the_broker_is_refused_and_not_repeated(tmp_path: Path, user: str) -> None:
    text = problems(tmp_path, GOOD.replace("store: {", f"queue: {{broker: 'amqp://{user}@queue/x'}}\nstore: {{"))

    assert "queue/broker: expected variable or file to hold the password, got a password here" in text
    assert "hunter2" not in text


def test_all_errors_are_reported_at_once(tmp_path: Path) -> None:
    text = problems(tmp_path, GOOD.replace("production: false", "production: 1").replace("port: 22", "port: x"))
    more = problems(tmp_path, GOOD.replace("[debug]", "[x]").replace("[watcher]", "[y]"))

    assert "production: expected" in text
    assert more.count("expected one of control") == 2


def test_a_host_written_twice_is_refused(tmp_path: Path) -> None:
    twice = GOOD.replace("  debug: {", "  control: {address: x, user: y, roles: []}\n  debug: {", 1)

    with pytest.raises(UsageError, match="'control' is written twice"):
        load.load_file(written(tmp_path, twice))


def test_a_number_with_a_leading_zero_is_refused_that_yaml_would_read_as_another(tmp_path: Path) -> None:
    number = GOOD.replace("production: false", "production: 0022")

    with pytest.raises(Problems, match=r"true or false, got 0022 \(a text needs quotation marks\)"):
        load.load_file(written(tmp_path, number))


@pytest.mark.parametrize("text", ["hosts: [", "- a list", "\x00"])
def test_a_file_that_is_not_an_inventory_is_reported(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"broken\.yaml"):
        load.load_file(written(tmp_path, text))


def test_the_overlay_applies_while_it_exists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REHEARSAL_HOME", str(tmp_path))
    assert load.load("rehearsal").hosts["debug"].port == 22

    (tmp_path / "endpoints.yaml").write_text('{"hosts": {"debug": {"address": "127.0.0.1", "port": 2222}}}')

    debug = load.load("rehearsal").hosts["debug"]
    assert (debug.address, debug.port, debug.user) == ("127.0.0.1", 2222, "operator")


@pytest.mark.parametrize(
    ("day", "year"),
    [(date(2014, 8, 15), 2013), (date(2014, 8, 31), 2013), (date(2014, 9, 1), 2014), (date(2015, 3, 1), 2014)],
)
def test_an_august_date_belongs_to_the_year_before(day: date, year: int) -> None:
    assert load.load("production").school_year(day) == year


def test_a_developers_machine_names_its_databases_in_the_inventory() -> None:
    local = load.load("local")

    assert [database.connection["dbname"] for database in local.databases.values()] == [
        *("apangea_development", "apangea_development_shard_1", "apangea_development_shard_2")
    ]
    assert (local.production, local.heroku, local.nights) == (False, None, {})


def test_a_night_that_the_inventory_does_not_have_is_refused_with_the_line_to_add() -> None:
    environment = load.load("production")

    assert environment.night(date(2014, 8, 15)).depth == DEFAULT_DEPTH
    with pytest.raises(UsageError, match="no night 2014-08-16") as caught:
        environment.night(date(2014, 8, 16))
    assert "2014-08-16: {depth: all" in caught.value.hint


@pytest.mark.parametrize(
    ("began", "ends"),
    [
        (datetime(2014, 8, 16, 2, tzinfo=UTC), datetime(2014, 8, 16, 10, tzinfo=UTC)),  # 22:00 in New York
        (datetime(2014, 8, 16, 9, 59, tzinfo=UTC), datetime(2014, 8, 16, 10, tzinfo=UTC)),
        (datetime(2014, 8, 16, 10, tzinfo=UTC), datetime(2014, 8, 17, 10, tzinfo=UTC)),
        (datetime(2014, 11, 2, 3, tzinfo=UTC), datetime(2014, 11, 2, 11, tzinfo=UTC)),  # clocks go back at 02:00
    ],
)
def test_a_window_ends_at_the_first_such_time_after_the_night_began(began: datetime, ends: datetime) -> None:
    environment = load.load_file(load.FOLDER / "example.yaml")

    assert environment.window_end(date(2014, 8, 15), began) == ends
    assert environment.window_end(date(2014, 8, 22), began) is None


def test_an_operators_list_may_have_comments_and_blanks(tmp_path: Path) -> None:
    (tmp_path / "list").write_text("13  # Ondo asked\n\n# nobody\n14\n")

    assert files.read_lines(str(tmp_path / "list")) == ("13", "14")
    with pytest.raises(UsageError, match=r"Reading .*nowhere failed: No such file or directory"):
        files.read_lines(str(tmp_path / "nowhere"))


NIGHTS = """\
nights:
  2014-08-15:
    depth: all
    exclude:
      schools: [21, 22,
        21]
      customers: [7]
      reasons: {school 21: summer school, school 23: "?", customer 8: "?"}
"""


def test_each_mistake_in_the_exclusions_is_named_with_its_path_and_line(tmp_path: Path) -> None:
    text = problems(tmp_path, re.sub(r"^nights:\n(  .*\n)*", NIGHTS, GOOD, flags=re.MULTILINE))

    first = len(GOOD.split("nights:\n")[0].splitlines()) + 1
    path = "nights/2014-08-15/exclude"
    assert f"{path}/schools/3: expected each id once, got 21 again (line {first + 5})" in text
    for name in ("school 23", "customer 8"):
        assert f"{path}/reasons/{name}: expected `school` or `customer` and an id that is excluded" in text
    assert text.count(f"(line {first + 7})") == 2


INCLUDED = """\
nights:
  2014-08-15:
    depth: all
    exclude: {schools: [21], customers: [7]}
    only:
      schools: {13: "closed, OPS-511", 21: summer school,
        22: " "}
      customers: {7: will not renew}
  2014-08-22: {depth: all, only: {}}
  2014-08-29: {depth: all, only: {schools: [13], customers: {1.5: why}}}
"""


def test_each_mistake_in_an_include_list_is_named_with_its_path_and_line(tmp_path: Path) -> None:
    text = problems(tmp_path, re.sub(r"^nights:\n(  .*\n)*", INCLUDED, GOOD, flags=re.MULTILINE))
    first, typed = len(GOOD.split("nights:\n")[0].splitlines()) + 1, "nights/2014-08-29/only"
    assert f"{typed}/schools: expected a mapping, got [13] (line {first + 9})" in text
    assert f"{typed}/customers/1.5: expected a whole number, got 1.5 (line {first + 9})" in text

    written = INCLUDED.replace("[13]", "{}").replace("{1.5: why}", "{9: why}")
    text = problems(tmp_path, re.sub(r"^nights:\n(  .*\n)*", written, GOOD, flags=re.MULTILINE))
    path = "nights/2014-08-15/only"
    assert f"{path}/schools/21: expected a school that is not excluded, got 21 (line {first + 5})" in text
    assert f"{path}/schools/22: expected the reason, got an empty one (line {first + 6})" in text
    assert f"{path}/customers/7: expected a customer that is not excluded, got 7 (line {first + 7})" in text
    assert f"nights/2014-08-22/only: expected schools or customers, got none (line {first + 8})" in text
    assert text.count("expected") == 4


OWN_DEPTHS = """\
nights:
  2014-08-15:
    depth: some
    exclude: {customers: [7]}
    depths:
      schools: {13: promote, 14: half}
      customers: {7: promote}
"""


def test_each_mistake_in_the_depths_of_a_night_is_named_with_its_path_and_line(tmp_path: Path) -> None:
    text = problems(tmp_path, re.sub(r"^nights:\n(  .*\n)*", OWN_DEPTHS, GOOD, flags=re.MULTILINE))

    first, path = len(GOOD.split("nights:\n")[0].splitlines()) + 1, "nights/2014-08-15"
    depths = "all, students, promote"
    assert f"{path}/depth: expected one of {depths}, got 'some' (line {first + 2})" in text
    assert f"{path}/depths/schools/14: expected one of {depths}, got 'half' (line {first + 5})" in text
    assert f"{path}/depths/customers/7: expected a customer that is not excluded, got 7 (line {first + 6})" in text
    assert text.count("expected") == 3


def test_what_is_missing_is_named_with_the_line_of_what_should_have_it(tmp_path: Path) -> None:
    text = problems(
        tmp_path, GOOD.replace("{bucket: apangea-archives, prefix: rehearsal}", "{bucket: apangea-archives}")
    )

    line = next(number for number, line in enumerate(GOOD.splitlines(), start=1) if line.startswith("store:"))
    assert f"store/prefix: expected a string, got nothing (line {line})" in text


def test_an_exclusion_is_shown_with_its_reason() -> None:
    exclude = Exclusion(schools=(21, 22), reasons={"school 21": "summer school"})

    assert exclude.named("school", exclude.schools) == "21 (summer school), 22"

"""Looks apart from a night: how findings are shown, the passwords of this machine, grants, and the looks of a host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from invoke.exceptions import Exit

from inventory.model import Database
from runbooks.cli.findings import settle, show, to_plain
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import Facts, History
from runbooks.engine.model.preconditions import Finding, Precondition
from runbooks.engine.model.step import Check, Truth, Verdict, fails, holds, unseen
from runbooks.preflight import grants, machine
from runbooks.preflight.passwords import passwords
from tests.fakes import EVENING, rehearsal

FACTS = Facts(now=EVENING, history=History())


def finding(verdict: Verdict, *stops: Truth) -> Finding:
    check = Check(title="it stands", looks=(), judge=lambda outputs, facts: verdict)
    precondition = Precondition(check=check, advice="Lift it.", stops=stops)
    return Finding(subject="db", precondition=precondition, verdict=verdict)


STANDS, FALLS, HIDDEN = (
    finding(holds("it stands")),
    finding(fails("it fell."), Truth.FAILS),
    finding(unseen("could not tell: dark"), Truth.FAILS),
)


def test_findings_are_a_line_each_with_a_hint_below_what_does_not_hold(capsys: pytest.CaptureFixture[str]) -> None:
    show([STANDS, FALLS, HIDDEN])
    with pytest.raises(Exit) as left:
        settle([STANDS, FALLS, HIDDEN])

    assert left.value.code == 10
    assert capsys.readouterr().out.splitlines() == [
        "✓ db: it stands",
        "✗ db: it fell",
        "    hint: Lift it.",
        "! db: it stands: could not tell: dark",
        "    hint: Lift it.",
        "1 of 3 looks hold; 1 warning; 1 FAILED.",
    ]


def test_what_warns_alone_does_not_fail(capsys: pytest.CaptureFixture[str]) -> None:
    settle([STANDS, HIDDEN])

    assert capsys.readouterr().out == "1 of 2 looks hold; 1 warning.\n"


def test_the_words_of_a_finding_that_another_machine_reads_stay() -> None:
    plain = {"subject": "db", "outcome": "does not hold", "found": "it fell", "stops": True, "hint": "Lift it."}

    assert to_plain([FALLS]) == [plain]
    assert [each["outcome"] for each in to_plain([STANDS, HIDDEN])] == ["holds", "could not tell"]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for variable in ("PGPASSFILE", "PGSERVICEFILE", "PGPASSWORD"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def judged(**connection: str) -> Verdict:
    return passwords({"master": connection}).check.judge((), FACTS)


def pgpass(home: Path, text: str, mode: int = 0o600) -> None:
    (home / ".pgpass").write_text(text)
    (home / ".pgpass").chmod(mode)


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("db.example.com:5432:shop:archiver:x", True),
        ("*:*:*:archiver:x", True),
        ("db.example.com:5433:shop:archiver:x", False),
        ("#db.example.com:5432:shop:archiver:x", False),
        ("db.example.com:5432:shop:archiver", False),
        ("", False),
    ],
)
def test_a_password_is_found_as_libpq_finds_it(home: Path, line: str, found: bool) -> None:
    pgpass(home, f"other:1:a:b:c\n{line}\n")

    verdict = judged(host="db.example.com", dbname="shop", user="archiver")

    assert verdict.truth is (Truth.HOLDS if found else Truth.UNSEEN)
    assert verdict.proof == (
        "1 connection, each with its password" if found else "no line of a password file is for master"
    )


def test_a_service_says_where_a_database_is(home: Path) -> None:
    (home / ".pg_service.conf").write_text("[shop]\nhost=db\ndbname=shop\nuser=ann\n")
    pgpass(home, "db:5432:shop:ann:x\n")

    assert judged(service="shop").holds
    assert judged(service="moon").proof == f"master: no service moon in {home}/.pg_service.conf"


def test_a_password_file_that_others_may_read_fails_with_the_command_that_closes_it(home: Path) -> None:
    pgpass(home, "*:*:*:*:x\n", 0o640)

    verdict = judged(host="db", dbname="shop", user="ann")

    assert verdict.truth is Truth.FAILS
    assert verdict.proof.endswith(f"chmod 600 {home}/.pgpass")


def test_a_socket_of_this_machine_needs_no_password(home: Path) -> None:
    assert judged(host="/var/run/postgresql", dbname="shop").holds


ROLE_ROW = ("ann", "shop", "CREATE", True, "bob")
TABLE_ROWS = (
    ("jobs", "owner", False, "DELETE", True),
    ("people", "owner", False, "INSERT, DELETE", False),
    ("audits", "owner", False, "SELECT", True),  # no table of the catalog
)


def test_grants_that_are_missing_are_told_as_sql() -> None:
    check = grants.granted(Database(name="master"), {"jobs", "people"}, owned=True).check

    verdict = check.judge((ProbeOutput(rows=(ROLE_ROW,)), ProbeOutput(rows=TABLE_ROWS)), FACTS)

    assert verdict.proof == (
        "ann needs, in psql in shop: GRANT CREATE ON DATABASE shop TO ann; GRANT bob TO ann; "
        "GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO ann; "
        "GRANT INSERT, DELETE ON ALL TABLES IN SCHEMA public TO ann; -- jobs, people "
        "GRANT owner TO ann; -- a night empties tables, which their owner alone may"
    )


def test_all_grants_are_there() -> None:
    check = grants.granted(Database(name="master"), {"jobs"}, owned=False).check
    rows = (("jobs", "owner", False, "", False),)

    verdict = check.judge((ProbeOutput(rows=(("ann", "shop", "", True, None),)), ProbeOutput(rows=rows)), FACTS)

    assert verdict == holds("ann may read, write and delete rows of 1 table")


@pytest.mark.parametrize(
    ("said", "proof"),
    [
        ({}, "1 looks hold there; the same version"),
        ({"found": "0.0.9, code ffffffffffff"}, "it has 0.0.9, code ffffffffffff, this machine "),
        ({"subject": "disk", "found": "none left", "stops": True}, "it has None, this machine "),
    ],
)
def test_a_host_that_runs_the_tool_must_have_this_version_and_all_it_needs(said: dict[str, object], proof: str) -> None:
    subject, *servers = machine.other_machines(rehearsal())
    assert [subject.name, servers[0].name] == ["debug", "db-master"]
    own = {"subject": "version", "found": machine._version(), "stops": False}
    text = json.dumps({"findings": [own | said]})

    verdict = subject.preconditions[0].check.judge((ProbeOutput(text=f"noise\n{text}\n"),), FACTS)

    assert verdict.proof.startswith(proof)
    assert ("disk: none left" in verdict.proof) is (said.get("subject") == "disk")

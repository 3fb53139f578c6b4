"""`inv archive.…` and `inv restore.…`, forwarded to the debug host of a running rehearsal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from pyrage import x25519

from tests import oracle
from tests.acceptance.conftest import Lab, Typed, inv
from tests.inside import inv_inside
from tests.worlds import same

TODAY = "--date=2014-08-15"


def test_a_school_goes_out_and_comes_back_from_the_operators_machine(running: Lab, typed: Typed) -> None:
    before = oracle.snapshot(running.endpoints.databases)
    expected = oracle.expected_after_archive(running.endpoints.databases, 13, "all")

    archived = running.inv("archive.school", "13", TODAY)
    assert (archived.code, archived.err) == (0, "")
    assert "on debug: archive.school" in archived.out
    assert "school 13: archived, " in archived.out
    found = oracle.snapshot(running.endpoints.databases)
    assert found == expected, oracle.difference(expected, found)

    listed = [json.loads(line) for line in typed("archive.list", "--json").out.splitlines()]
    assert [(record["tenant_id"], record["year"], record["state"]) for record in listed] == [(13, 2013, "archived")]
    shown = typed("archive.show", "13").out
    assert "2013_school_13.tar.gz" in shown
    assert re.search(r"^  master\.users: \d+(, \d+)*$", shown, re.MULTILINE), shown  # shared teachers, by their ids

    looked_at_from_outside(running, typed)

    again = typed("archive.school", "13", TODAY)
    assert (again.code, "School 13 is archived already for 2013." in again.out + again.err) == (2, True)

    checked, planned = typed("archive.check-stored"), typed("restore.plan", "13")
    assert (checked.code, checked.out.count(": OK")) == (0, 2)
    assert (planned.code, "It can be restored." in planned.out) == (0, True)

    restored = running.inv("restore.school", "13")
    assert restored.code == 0
    assert "school 13 of 2013: restored" in restored.out
    found = oracle.snapshot(running.endpoints.databases)
    assert found == before, oracle.difference(before, found)


def looked_at_from_outside(running: Lab, typed: Typed) -> None:
    """School 13 is archived; nothing changes."""
    classrooms = running.inv("archive.cat", "13", "classrooms", "--header").out.splitlines()
    assert classrooms[0].startswith("id\tschool_id\t")
    counted = typed("archive.query", "13", "SELECT count(*) AS rooms FROM classrooms;")
    assert counted.out == f"rooms\n{len(classrooms) - 1}\n", counted
    room = classrooms[1].split("\t")[0]
    assert "school 13 of 2013: archived, s3://" in typed("archive.find", "classroom", room).out
    assert typed("archive.find", "classroom", "4711000").out == "No archive holds classroom 4711000.\n"
    assert "1 of 1 archive verified" in typed("archive.verify", "--all", "--sample=5").out
    acts = [json.loads(line)["act"] for line in typed("archive.log", "--school=13", "--json").out.splitlines()]
    assert acts[-5:] == ["archive", "cat", "query", "find", "verify"]
    assert typed("archive.list", "--state=restoring", "--json").out == ""


def test_an_archive_is_dropped_only_with_its_tarballs_name(running: Lab, typed: Typed) -> None:
    databases = running.endpoints.databases
    before = oracle.snapshot(databases)
    assert typed("archive.school", "17", TODAY, "--pretend").code == 0  # makes the archiver's tables
    location = "s3://apangea-archives/rehearsal/2013/17/1/2013_school_17.tar.gz"
    with psycopg2.connect(databases["master"]) as link, link.cursor() as cursor:
        cursor.execute(
            "INSERT INTO archiver.archives"
            " (kind, key, tenant_name, year, shard, depth, state, location, operator, host)"
            " SELECT 'tenant', id::text, name, 2013, shard, 'all', 'verified', %s, 'ann', 'debug'"
            " FROM schools WHERE id = 17",
            (location,),
        )
    link.close()

    for words in ((), ("--tarball=2013_school_13.tar.gz",)):
        refused = typed("archive.drop-archive", "17", *words)
        assert (refused.code, "expected the tarball's name, 2013_school_17.tar.gz" in refused.err) == (2, True)
    assert "2013_school_17.tar.gz" in typed("archive.list", "--json", "--year=2013").out
    dropped = typed("archive.drop-archive", "17", "--tarball=2013_school_17.tar.gz")

    assert dropped.code == 0, dropped
    assert "and its record are deleted" in dropped.out
    assert typed("archive.list", "--json").out == ""
    assert "drop  school 17 of 2013" in typed("archive.log", "--act=drop").out
    assert oracle.snapshot(databases) == before


def test_a_customer_goes_out_at_depth_students_and_comes_back(running: Lab, typed: Typed) -> None:
    before = oracle.snapshot(running.endpoints.databases)

    archived = typed("archive.customer", "1234", TODAY, "--depth=students")
    assert archived.code == 0, archived
    assert "4 of 4 schools archived" in archived.out
    again = typed("archive.customer", "1234", TODAY, "--depth=students")
    assert (again.code, "no school is left to archive" in again.out) == (0, True)

    assert typed("restore.customer", "1234").code == 0
    found = oracle.snapshot(running.endpoints.databases)
    assert found == before, oracle.difference(before, found)


def test_pretending_shows_what_would_be_and_leaves_no_trace(running: Lab, typed: Typed) -> None:
    before = oracle.snapshot(running.endpoints.databases)

    pretended = typed("archive.all", TODAY, "--pretend", "--exclude-schools=13,17")

    assert pretended.code == 0
    assert "33 of 33 schools verified, nothing stored or deleted" in pretended.out
    assert oracle.snapshot(running.endpoints.databases) == before
    assert typed("archive.list", "--json").out == ""


@pytest.fixture
def encrypting(running: Lab, tmp_path: Path) -> Iterator[Path]:
    """The lab with a recipient in its inventory; the file that holds the identity."""
    identity, overlay = x25519.Identity.generate(), running.home / "endpoints.yaml"
    written = overlay.read_text()
    changed = json.loads(written)
    changed["store"]["recipients"] = [str(identity.to_public())]
    overlay.write_text(json.dumps(changed))
    (tmp_path / "identity").write_text(f"{identity}\n")
    yield tmp_path / "identity"
    overlay.write_text(written)


def test_encrypted_archives_leave_no_personal_data_and_no_identity_behind(
    running: Lab, typed: Typed, encrypting: Path
) -> None:
    emails = emails_of_staff(running, 13)
    in_master(running, PLANT)
    before = oracle.snapshot(running.endpoints.databases)

    said = [typed("archive.school", "13", TODAY), typed("archive.show", "13"), typed("archive.list")]
    again = typed("archive.reencrypt", "--all")
    assert (again.code, "encrypted to these recipients already" in again.out) == (0, True), again
    closed = typed("restore.school", "13")
    assert (closed.code, "is encrypted, and no identity was given." in closed.out + closed.err) == (2, True), closed
    in_master(running, "INSERT INTO users (email, created_at, updated_at) VALUES (%s, now(), now())", emails[0])
    clash = typed("restore.school", "13", f"--identity={encrypting}")
    assert (clash.code, "master.users: the unique index" in clash.out + clash.err) == (10, True), clash
    in_master(running, "DELETE FROM users WHERE email = %s", emails[0])
    told = "\n".join(each.out + each.err for each in (*said, again, closed, clash)) + kept(running)
    restored = typed("restore.school", "13", f"--identity={encrypting}")

    assert restored.code == 0, restored
    assert oracle.snapshot(running.endpoints.databases).tables == before.tables
    assert "2013_school_13.tar.gz.age" in told
    secrets = [*emails, NAME, encrypting.read_text().strip()]
    assert [secret for secret in secrets if secret in told + restored.out + restored.err] == []
    in_master(running, UPROOT)


def emails_of_staff(running: Lab, school: int) -> list[str]:
    """E-mails of those who work at this school alone: they leave with it."""
    with closing(psycopg2.connect(running.endpoints.databases["master"])) as link, link.cursor() as cursor:
        cursor.execute(STAFF, (school,))
        return [row[0] for row in cursor.fetchall()]


def in_master(running: Lab, statement: str, *args: object) -> None:
    """A colleague at psql."""
    with closing(psycopg2.connect(running.endpoints.databases["master"])) as link, link, link.cursor() as cursor:
        cursor.execute(statement, args)


STAFF = """
SELECT u.email FROM users u JOIN school_assignments a ON a.user_id = u.id
 WHERE a.school_id = %s AND u.email LIKE '%%@%%'
   AND NOT EXISTS (SELECT 1 FROM school_assignments o WHERE o.user_id = u.id AND o.school_id <> a.school_id)
"""
NAME = "Quizzlewhit"  # of all users, for a while
PLANT = f"UPDATE students SET last_name = last_name || '{NAME}'; UPDATE users SET last_name = last_name || '{NAME}'"
UPROOT = f"""
UPDATE students SET last_name = replace(last_name, '{NAME}', '');
UPDATE users SET last_name = replace(last_name, '{NAME}', '')
"""


def kept(running: Lab) -> str:
    """Return everything that the archiver wrote besides the archive: its tables, and the logs of its jobs."""
    written = [path.read_text() for path in running.home.glob("**/.cutover/jobs/*/*") if path.is_file()]
    assert written
    for dsn in running.endpoints.databases.values():
        with closing(psycopg2.connect(dsn)) as link, link.cursor() as cursor:
            cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'archiver'")
            for (table,) in cursor.fetchall():
                cursor.execute(f"SELECT t::text FROM archiver.{table} t")
                written += [row[0] for row in cursor.fetchall()]
    return "\n".join(written)


def test_an_estimate_states_the_duration_and_its_basis(typed: Typed) -> None:
    said = typed("archive.estimate", "--top=2", "--date=2014-08-15", "--gigabytes=200")

    assert said.code == 0, said
    *_, heads, first, second, all_schools, counted, parts, together, asked, rests = said.out.splitlines()
    assert heads.split() == ["school", "rows", "live", "tarball", "archive", "restore"]
    assert first.split()[0].isdigit() and second.split()[0].isdigit()
    assert all_schools.startswith("  all 35, one after the other ")
    assert re.fullmatch(r"All of them have about \d+ classrooms, [\d,]+ enrollments, [\d,]+ students\.", counted)
    assert asked.startswith("200 GB of live rows would be about ")
    assert parts.startswith("Of the time to archive all of them: extract ")
    assert together.startswith("inv archive.all, with ")
    assert rests.startswith("Rests on statistics of ")
    assert "pretending to archive 2 schools just now" in rests
    assert typed("archive.list", "--json").out == ""


REFUSED = (
    (("archive.school", "999"), "There is no school 999."),
    (("archive.school", "abc"), "school: expected id of a school, got 'abc'."),
    (("archive.school", "-1"), "got '-1'"),
    (("archive.school", "13", "--depth=half"), "The catalog of tables has no depth half (there: all,"),
    (("archive.school", "13", "--date=2014-02-30"), "got '2014-02-30'"),
    (("archive.customer", "777777"), "There is no customer 777777."),
    (("archive.all",), "--date: expected a day written YYYY-MM-DD, got nothing."),
    (("archive.all", "--date=2014-08-16"), "no night 2014-08-16 in the inventory"),
    (("archive.all", TODAY, "--depth=students"), "the inventory says all for the night 2014-08-15"),
    (("archive.all", TODAY, "--exclude=no/such/file"), "Reading no/such/file failed: No such file or directory."),
    (("archive.all", TODAY, "--exclude-schools=999"), "The exclusion names school 999, which does not exist."),
    (("archive.all", TODAY, "--exclude-customers=999"), "The exclusion names customer 999, which does not exist."),
    (("restore.school", "13"), "School 13 is not archived."),
    (("restore.school", "13", "--year=1999"), "School 13 is not archived for 1999."),
    (("restore.school", "13", "--only-classroom=all"), "classroom: expected id of a classroom, got 'all'"),
    (("restore.customer", "1234"), "No school of customer 1234 is archived."),
    (("restore.all", TODAY), "The night 2014-08-15 archived nothing that is still archived."),
    (("archive.reencrypt", "13"), "School 13 is not archived."),
    (("archive.reencrypt", "--all"), "The inventory has no recipients to encrypt to."),
    (("archive.reencrypt", "13", "--all"), "Name a school, or --all; not both."),
    (
        ("restore.school", "13", "--identity=/no/such/file"),
        "Reading /no/such/file failed: No such file or directory.",
    ),
    (("archive.estimate", "--top=0"), "--top: expected a positive whole number, got '0'."),
    (("archive.show", "13"), "School 13 is not archived."),
    (("archive.cat", "13", "students"), "School 13 is not archived."),
    (("archive.query", "13", "SELECT 1"), "School 13 is not archived."),
    (("archive.verify", "13"), "School 13 is not archived."),
    (("archive.verify", "13", "--sample=3"), "--sample chooses among all archives: add --all."),
    (("archive.drop-archive", "13", "--tarball=2013_school_13.tar.gz"), "School 13 is not archived."),
    (("archive.find", "enrollment", "4711"), "No ids are kept of 'enrollment'."),
    (("archive.list", "--state=lost"), "--state: expected one of extracting, stored, verified, deleting, archived"),
    (("archive.list", "--night=soon"), "--night: expected a day written YYYY-MM-DD, got 'soon'."),
    (("archive.school", "13", "--env=moon"), "No environment 'moon'"),
    (("archive.school", "13", "--env=production"), "is a production environment"),
)


def test_bad_arguments_are_refused_in_a_sentence_and_change_nothing(
    running: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".inventory-host").write_text("debug")  # typed there, so that nothing is sent on
    for variable, value in {"HOME": tmp_path, "REHEARSAL_HOME": running.home, "CUTOVER_ENV": "rehearsal"}.items():
        monkeypatch.setenv(variable, str(value))
    before = oracle.snapshot(running.endpoints.databases)

    for words, expected in REFUSED:
        said = inv_inside(capsys, *words)
        assert said.code == 2, (words, said)
        assert expected in said.out + said.err, words
        assert "Traceback" not in said.out + said.err, words
        assert "on debug" not in said.out, words

    same(before, oracle.snapshot(running.endpoints.databases))


def test_a_refusal_at_the_debug_host_is_reported_at_the_operators_machine(typed: Typed) -> None:
    said = typed("archive.school", "999")

    assert (said.code, "on debug: archive.school" in said.out) == (2, True), said
    assert "There is no school 999." in said.out + said.err


def test_an_exclusion_file_is_read_on_the_operators_machine(typed: Typed, tmp_path: Path) -> None:
    (tmp_path / "list").write_text("13 # Ondo asked\ncustomer 1234\n")

    pretended = typed("archive.all", TODAY, "--pretend", f"--exclude={tmp_path}/list")

    assert "30 of 30 schools verified" in pretended.out, pretended


def test_help_shows_the_help(running: Lab) -> None:
    said = running.inv("archive.school", "--help")

    assert said.code == 0
    assert "--env" in said.out


@pytest.mark.parametrize("words", [("archive.school", "13"), ("archive.list",), ("restore.school", "13", "--here")])
def test_without_a_rehearsal_it_explains_how_to_start_one(nowhere: Path, words: tuple[str, ...]) -> None:
    said = inv(*words, home=nowhere)

    assert (said.code, said.out) == (2, "")
    assert said.err == "The rehearsal is not up.\nhint: inv rehearsal.up starts it.\n"

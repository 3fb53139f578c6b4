"""Leaks of rows and secrets: by a folder that another user made, by a trigger's message, past the redactor."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from archiver.format.spool_folder import work_folder
from archiver.postgres.session import DatabaseError, Session, connect, parse_dsn
from archiver.runs.setup import spool_folder
from errors import CutoverError
from runbooks.engine.model.redactor import redactor_for

EMAIL = "jane.roe@example.org"


def is_private(folder: Path) -> bool:
    """True if it is a folder and no link to one, this user's, and closed to all others."""
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077


@pytest.fixture
def system_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder for temporary files: every user may make a folder there."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def open_to_all(folder: Path, patch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    folder.chmod(0o777)


def readable_by_all(folder: Path, patch: pytest.MonkeyPatch) -> None:
    folder.mkdir()
    folder.chmod(0o755)


def a_link(folder: Path, patch: pytest.MonkeyPatch) -> None:
    elsewhere = folder.with_name("elsewhere")
    elsewhere.mkdir(mode=0o700)
    folder.symlink_to(elsewhere)


def of_another_user(folder: Path, patch: pytest.MonkeyPatch) -> None:
    """Ours, while we pass for another user: only root could really be two."""
    another = os.getuid() + 1
    for name in ("getuid", "geteuid"):
        patch.setattr(os, name, lambda: another)
    folder.with_name(f"cutover-{another}").mkdir(mode=0o700)


Make = Callable[[Path, pytest.MonkeyPatch], None]
MADE_BEFORE: list[Make] = [open_to_all, readable_by_all, a_link, of_another_user]


@pytest.mark.parametrize("make", MADE_BEFORE, ids=["open to all", "readable by all", "a link", "another user's"])
def test_rows_are_not_written_to_a_folder_that_another_user_made(
    system_folder: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    make(system_folder / f"cutover-{os.getuid()}", monkeypatch)
    try:
        folder = spool_folder()
    except CutoverError:
        return
    assert is_private(folder)


@pytest.mark.parametrize("make", [open_to_all, a_link], ids=["open to all", "a link"])
def test_no_run_works_in_a_home_that_others_may_write_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Make
) -> None:
    make(tmp_path / "work", monkeypatch)
    try:
        with work_folder(tmp_path / "work") as folder:
            assert is_private(folder.parent)
    except CutoverError:
        return


def test_a_folder_of_ones_own_is_used_again(system_folder: Path) -> None:
    assert spool_folder() == spool_folder()
    assert is_private(spool_folder())


@pytest.fixture
def session(empty: str) -> Iterator[Session]:
    """A session on a database with one student."""
    with closing(connect(parse_dsn(empty), name="test")) as session:
        session.execute("CREATE TABLE public.students (id int PRIMARY KEY)")
        session.execute("INSERT INTO public.students VALUES (592)")
        yield session


@pytest.mark.parametrize("code", ["check_violation", "foreign_key_violation", "data_exception", "AP001"])
def test_a_triggers_message_is_not_passed_on_whatever_its_code(session: Session, code: str) -> None:
    session.execute(
        f"""CREATE FUNCTION public.forbid() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'student % ({EMAIL}) has a loan', OLD.id USING ERRCODE = '{code}'; END $$;
            CREATE TRIGGER forbid BEFORE DELETE ON public.students FOR EACH ROW EXECUTE FUNCTION public.forbid()"""
    )

    with pytest.raises(DatabaseError) as refused:
        session.execute("DELETE FROM public.students", doing="deleting from students")

    assert EMAIL not in f"{refused.value} {refused.value.hint}"
    assert "deleting from students" in str(refused.value).lower()


SAYS_IT = {
    "from ASSERT": f"ASSERT false, '{EMAIL}';",
    "from a statement that it writes": f"EXECUTE 'SELECT \"{EMAIL}\"';",
    "from a cast": f"PERFORM '{EMAIL}'::text::int;",
    "rethrown": f"""BEGIN PERFORM 1/0; EXCEPTION WHEN division_by_zero THEN
                    RAISE unique_violation USING MESSAGE = '{EMAIL}', HINT = '{EMAIL}', DETAIL = '{EMAIL}'; END;""",
}


@pytest.mark.parametrize("how", SAYS_IT)
@pytest.mark.parametrize("statement", ["DELETE FROM public.students", "INSERT INTO public.students VALUES (593)"])
def test_no_other_words_of_a_products_code_are_passed_on(session: Session, how: str, statement: str) -> None:
    session.execute(
        f"""CREATE FUNCTION public.speak() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN {SAYS_IT[how]} RETURN NULL; END $$;
            CREATE TRIGGER speak AFTER INSERT OR DELETE ON public.students EXECUTE FUNCTION public.speak()"""
    )

    with pytest.raises(DatabaseError) as refused:
        session.execute(statement, doing="writing students")

    assert EMAIL not in f"{refused.value} {refused.value.hint}"


def test_the_servers_own_message_is_passed_on(session: Session) -> None:
    session.execute("CREATE TABLE public.loans (id int CONSTRAINT loans_are_of_students REFERENCES public.students)")
    session.execute("INSERT INTO public.loans VALUES (592)")

    with pytest.raises(DatabaseError, match="loans_are_of_students"):
        session.execute("DELETE FROM public.students")


# A line, the secret in it, and the variables that know it.
LEAKS = {
    "--pass=": ("tool --pass=hunter2secret run", "hunter2secret", {}),
    "DB_PASS": ("no access with hunter2secret", "hunter2secret", {"DB_PASS": "hunter2secret"}),
    "MYSQL_PWD": ("no access with sesame-sesame", "sesame-sesame", {"MYSQL_PWD": "sesame-sesame"}),
    "SIGNING_KEY": ("signed with abcdefgh12345678", "abcdefgh12345678", {"SIGNING_KEY": "abcdefgh12345678"}),
    "a URL's password with / and @": ("connecting to postgres://u:pa/ss@word1@h/db failed", "ss@word1", {}),
    "the same, in DATABASE_URL": (
        "no access to postgres://u:pa/ss@word1@h/db",
        "ss@word1",
        {"DATABASE_URL": "postgres://u:pa/ss@word1@h/db"},
    ),
    "mysql -p": ("mysql -u app -phunter2secret shop", "hunter2secret", {}),
    "curl -u": ("curl -u ann:hunter2secret https://x.example", "hunter2secret", {}),
    "JSON behind an escaped quote": ('{"password": "a\\"b secretrest"}', "secretrest", {}),
    "SQL behind a doubled quote": ("ALTER ROLE ann PASSWORD = 'it''s secretrest'", "secretrest", {}),
    "SLACK_URL": (
        "posting to https://hooks.slack.com/services/T000/B000/XXXXXXXXXXXX failed",
        "XXXXXXXXXXXX",
        {"SLACK_URL": "https://hooks.slack.com/services/T000/B000/XXXXXXXXXXXX"},
    ),
    "a DSN's user": (
        "sending to https://0123456789abcdef@sentry.example/5 failed",
        "0123456789abcdef",
        {"SENTRY_DSN": "https://0123456789abcdef@sentry.example/5"},
    ),
}


@pytest.mark.parametrize("kind", LEAKS)
def test_a_secret_is_recognized_by_its_position_and_by_its_variable(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line, secret, variables = LEAKS[kind]
    for name, value in variables.items():
        monkeypatch.setenv(name, value)

    assert secret not in redactor_for().clean(line)


def test_a_line_that_only_resembles_a_secret_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APP_URL", "https://app.example/start")
    lines = ["mkdir -p /var/backups", "ssh -p 2222 host", "see https://app.example/start", "3 of 4 pass"]

    assert redactor_for().clean(lines) == lines

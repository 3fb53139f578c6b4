"""Tasks of the debug host, started elsewhere: every option of a task is sent along, bad arguments reach no host."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from contextlib import nullcontext
from datetime import date
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import psycopg2
import pytest

from archiver.kinds import registry
from archiver.runs.drop import DroppedMonths
from errors import ExitCode
from inventory.load import load
from inventory.model import Night, Role
from inventory.scope import scope_of
from runbooks.archives import contents
from runbooks.cli.options import Option
from runbooks.engine.live import fleet
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.model.actions import DetachedJob, ProbeOutput
from tests.declared import declared_tasks
from tests.inside import Said, inv_inside

# A valid text for every option of every task that runs on the debug host.
TEXTS = {
    "school": "13",
    "customer": "1234",
    "number": "7",
    "date": "2014-08-22",  # no night of the inventory, so that the depth is free
    "depth": "students",
    "identity": "~/keys/it's mine",
    "engine": "celery",
    "workers": "8",
    "memory": "512MiB",
    "until": "06:00",
    "exclude_schools": "14,13",
    "schools": "50014013",  # of a night its digest, of a merge an id
    "exclude_customers": "1234",
    "year": "2013",
    "part": "pupil 42",
    "only_classroom": "42",
    "only_student": "592",
    "only_user": "7",
    "without_month": "2014-08",
    "mapping": "~/last changes.yaml",
    "month": "2014-09",
    "as_of": "2014-11-05",
    "max_lag": "64MiB",
    "rate": "2000",
    "run_time": "2h",
    "from_": "shard_2",
    "into": "shard_1",
    "before": "2012-01-01",
    "confirm": "staging",
    "sample": "20",
    "tarball": "2013_school_13.tar.gz",
    "top": "5",
    "gigabytes": "50",
    "reason": "will not renew, OPS-510",
    "only_listed": '{"customer 1234": "will not renew, OPS-510"}',
}
# A wrong text, where nearly any text is right: a key's type is known to the tenants' table alone.
WRONG = {
    **dict.fromkeys(("customer", "only_classroom", "only_student", "only_user"), "-"),
    "identity": "AGE-SECRET-KEY-1X",
    "school": "-",
    "exclude_schools": "13,,14",
    "schools": "13,,14",
    "exclude_customers": "1,",
}
PARTS = ("part", "only_classroom", "only_student", "only_user")  # one of them at a time
ONLY_WITH = {"sample": "all"}  # an option, and the one that it needs
NOT_SENT = {
    "env",
    "here",
    "yes_production",
    "scope",
    "exclude",
    "only",
}  # these are files on this machine: their ids go


DECLARED = declared_tasks()
FORWARDED = [task for task in DECLARED.values() if task.runs_on is Role.DEBUG]


def parts(task: Any) -> list[str]:
    """The options that name a part; one empty name for a task without them."""
    return [option.name for option in task.options if option.name in PARTS] or [""]


def chosen(task: Any, *, with_word: bool, part: str) -> list[Option]:
    """The options that can be given together: with a positional word, or with the option in its place; one part."""
    others = NOT_SENT | {*PARTS} - {part}
    options = [option for option in task.options if option.name not in others]
    instead = {option.instead for option in options if option.instead}
    left_out = instead if with_word else {option.name for option in options if option.instead}
    names = {option.name for option in options} - left_out
    return [option for option in options if option.name in names and ONLY_WITH.get(option.name, option.name) in names]


def typed(option: Option) -> str:
    if option.default is False:
        return option.label
    return TEXTS[option.name] if option.positional else f"{option.label}={TEXTS[option.name]}"


def scope_sent(task: Any) -> str:
    """The scope that this host sends with a task; that of a night has the depth, here the option's."""
    night = Night(depth=TEXTS["depth"]) if task.full_name == "archive.all" else None
    return scope_of(load("staging"), night).text


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The command lines that reach the debug host, which does nothing."""
    lines: list[str] = []

    def run(jobs: RemoteJobs, job: DetachedJob, name: str, on_line: Callable[[str], None]) -> ProbeOutput:
        lines.append(job.command)
        return ProbeOutput(code=0)

    monkeypatch.setattr(RemoteJobs, "run", run)
    model = SimpleNamespace(tenant=SimpleNamespace(noun="school"))
    databases = SimpleNamespace(key_typed=int, master=None, model=model)
    monkeypatch.setattr(contents, "databases_of", lambda *_: nullcontext(databases))
    record = SimpleNamespace(location=TEXTS["tarball"], year=2013)
    kind = SimpleNamespace(goes_with=lambda *_: DroppedMonths())
    monkeypatch.setattr(registry, "chosen", lambda *_: SimpleNamespace(kind=kind, record=record))
    return lines


@pytest.fixture
def inv(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Said]:
    monkeypatch.setenv("CUTOVER_ENV", "staging")
    return lambda *words: inv_inside(capsys, *words)


def test_every_task_with_here_runs_on_the_debug_host() -> None:
    with_here = [task for task in DECLARED.values() if "here" in {option.name for option in task.options}]

    assert with_here == FORWARDED
    assert len(FORWARDED) == 18


@pytest.mark.parametrize("task", FORWARDED, ids=lambda task: task.full_name)
def test_every_option_is_forwarded(task: Any, inv: Callable[..., Said], sent: list[str]) -> None:
    forwarded: set[str] = set()
    for with_word, part in product({True, not any(option.instead for option in task.options)}, parts(task)):
        options = chosen(task, with_word=with_word, part=part)

        said = inv(task.full_name, *map(typed, options))

        assert (said.code, said.out) == (0, f"on debug: {task.full_name}\n"), said.err
        operator, *line = shlex.split(sent[-1])
        assert operator.startswith("CUTOVER_OPERATOR=")
        start = line.index(task.full_name) + 1
        words = [option for option in options if option.positional]
        assert line[start : start + len(words)] == [typed(option) for option in words]
        flags = {typed(option) for option in options if not option.positional} | {"--env=staging", "--here"}
        flags.add(f"--scope={scope_sent(task)}")
        assert set(line[start + len(words) :]) == {flag.replace("=14,13", "=13,14") for flag in flags}
        forwarded |= {option.name for option in options}

    assert forwarded == {option.name for option in task.options} - NOT_SENT


def test_an_option_that_is_not_given_is_not_sent(inv: Callable[..., Said], sent: list[str]) -> None:
    inv("archive.all", "--date=2014-08-08")

    assert shlex.split(sent[-1])[-5:] == [
        *("archive.all", "--env=staging", "--here", "--date=2014-08-08"),
        f"--scope={scope_of(load('staging'), load('staging').night(date(2014, 8, 8))).text}",
    ]


def test_a_file_of_exclusions_is_read_locally_and_sent_as_ids(
    inv: Callable[..., Said], sent: list[str], tmp_path: Path
) -> None:
    (tmp_path / "exclude.txt").write_text("14\ncustomer 1234 # asked for it\n13\n")

    inv("archive.all", "--date=2014-08-08", f"--exclude={tmp_path}/exclude.txt", "--exclude-schools=21")

    line = shlex.split(sent[-1])
    assert {"--exclude-schools=13,14,21", "--exclude-customers=1234"} <= set(line)
    assert "exclude.txt" not in sent[-1]


def test_a_file_of_the_only_schools_is_read_locally_and_sent_with_its_reasons(
    inv: Callable[..., Said], sent: list[str], tmp_path: Path
) -> None:
    (tmp_path / "only.txt").write_text("# asked for by Ondo\n14: closed, ticket #411\ncustomer 1234: won't renew\n")

    inv("archive.all", "--date=2014-08-08", f"--only={tmp_path}/only.txt")

    line = shlex.split(sent[-1])
    [listed] = [word for word in line if word.startswith("--only-listed=")]
    assert json.loads(listed.partition("=")[2]) == {"customer 1234": "won't renew", "14": "closed, ticket #411"}
    assert "only.txt" not in sent[-1]


def test_in_production_a_purge_is_shown_first_and_confirmed_locally(
    inv: Callable[..., Said], sent: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUTOVER_ENV", "production")

    said = inv("users.purge-legacy", "--before=2012-01-01", "--yes-production")
    assert (said.code, len(sent)) == (ExitCode.USAGE, 1)
    assert "there is no terminal" in said.err
    assert "--dry-run" in shlex.split(sent[0])

    said = inv("users.purge-legacy", "--before=2012-01-01", "--yes-production", "--confirm=production")
    assert (said.code, len(sent)) == (0, 2)
    assert {"--confirm=production", "--yes-production"} <= set(shlex.split(sent[1]))


@pytest.fixture
def isolated(monkeypatch: pytest.MonkeyPatch) -> None:
    """No host, no database."""

    def forbidden(*args: Any, **kwargs: Any) -> NoReturn:
        raise AssertionError("bad words reached for the world")

    monkeypatch.setattr(fleet, "Fleet", forbidden)
    monkeypatch.setattr(psycopg2, "connect", forbidden)


@pytest.mark.parametrize("task", FORWARDED, ids=lambda task: task.full_name)
def test_bad_arguments_reach_no_host(task: Any, inv: Callable[..., Said], isolated: None) -> None:
    given = [chosen(task, with_word=True, part=part) for part in parts(task)]
    for options, wrong in [(each, option) for each in given for option in each]:
        if wrong.parse is None:
            continue
        bad = WRONG.get(wrong.name, "no-such-thing")
        words = [
            typed(option).replace(TEXTS[option.name], bad) if option is wrong else typed(option) for option in options
        ]

        said = inv(task.full_name, *words)

        assert (said.code, said.out) == (ExitCode.USAGE, ""), wrong.name
        assert said.err.startswith(f"{wrong.label}"), wrong.name


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("archive.school", "13", "--env=production"), "is a production environment"),
        (("archive.all", "--date=2014-08-08", "--exclude=/no/such/file"), "Reading /no/such/file failed"),
        (("archive.all", "--date=2014-08-22"), "no night 2014-08-22"),
        (("archive.all",), "--date: expected a day written YYYY-MM-DD, got nothing."),
        (("shards.merge", "--from=shard_2", "--into=shard_2"), "expected another shard than --from"),
        (("shards.merge", "--from=shard_2", "--into=shard_1", "--schools=13,x,13,-4"), "13 stands there twice"),
        (("restore.school", "13", "--without-month=2014-09,2014-13,2014-09"), "2014-09 stands there twice"),
        (("restore.school", "13", "--part=student"), "--part: expected a part and its key, got 'student'."),
        (("restore.school", "13", "--part=student 7", "--only-user=3"), "Name one part to restore"),
        (("archive.verify", "13", "--sample=3"), "add --all"),
        (("archive.verify", "13", "--all"), "Name a school, or --all; not both."),
        (("archive.reencrypt", "13", "--all"), "Name a school, or --all; not both."),
        (("archive.estimate", "--measure", "--env=production"), "is a production environment"),
        (
            ("users.purge-legacy", "--before=2012-01-01", "--env=production", "--yes-production", "--confirm=staging"),
            "--confirm: expected production, got 'staging'.",
        ),
    ],
)
def test_errors_found_only_with_the_inventory_or_a_file_are_refused_before_the_link(
    inv: Callable[..., Said], isolated: None, words: tuple[str, ...], says: str
) -> None:
    said = inv(*words)

    assert (said.code, said.out) == (ExitCode.USAGE, "")
    assert says in said.err

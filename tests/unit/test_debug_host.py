"""Work sent to the debug host, an operator who leaves it there, and a host with another version of the tool."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable

import pytest
from invoke.collection import Collection
from invoke.program import Program

from errors import ExitCode, UnknownError, UsageError
from inventory.load import load
from runbooks.cli import debug_host
from runbooks.cli.options import ACTS, HERE, NIGHT, SCHOOL
from runbooks.cli.task import task
from runbooks.engine.live.executors import JobLost
from runbooks.engine.live.jobs import RemoteJobs
from runbooks.engine.model.actions import DetachedJob, ProbeOutput

OnLine = Callable[[str], None]


def test_a_lost_job_has_a_hint_to_settle_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(jobs: RemoteJobs, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        raise JobLost(f"The job {name} on {job.host} is gone and left no exit status.")

    monkeypatch.setattr(RemoteJobs, "run", lost)

    with pytest.raises(UnknownError, match=r"on debug is gone") as left:
        debug_host.forward(load("staging"), "shards.merge")

    assert left.value.hint == "Run the same command again: it settles what was begun."


def test_ctrl_c_reports_that_the_work_on_the_debug_host_continues(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(jobs: RemoteJobs, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        raise KeyboardInterrupt

    monkeypatch.setattr(RemoteJobs, "run", interrupted)

    with pytest.raises(debug_host.LeftThere, match=r"does not stop shards\.show on debug") as left:
        debug_host.forward(load("staging"), "shards.show")

    assert left.value.exit_code is ExitCode.INTERRUPTED
    assert re.fullmatch(
        r"inv cutover\.attach (debug --job=shards\.show\.[0-9a-f]{12} --env=staging) follows it, "
        r"inv cutover\.stop \1 ends it\.",
        left.value.hint,
    )


@pytest.fixture
def older(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """A debug host whose tool is older: it has archive.all without --until, and fewer tasks; what ran there."""
    ran: list[str] = []

    @task("archive.all", NIGHT, HERE, *ACTS)
    def all_() -> None:
        """Archives, long ago."""
        ran.append("archive.all")

    namespace = Collection(Collection("archive", all_))

    def run(jobs: RemoteJobs, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        capsys.readouterr()
        words = shlex.split(job.command)
        try:
            Program(namespace=namespace).run(["inv", *words[words.index("/opt/cutover/.venv/bin/inv") + 1 :]])
            code = 0
        except SystemExit as left:
            code = int(left.code or 0)
        out, err = capsys.readouterr()
        for line in f"{out}{err}".splitlines():
            on_line(line)
        return ProbeOutput(code=code)

    monkeypatch.setattr(RemoteJobs, "run", run)
    return ran


@pytest.mark.parametrize(
    ("name", "words", "options", "unknown"),
    [
        ("archive.all", (), {"date": "2014-08-15", "until": "06:00"}, "--until of archive.all"),
        ("archive.all", (), {"date": "2014-08-15", "it's": True}, "--it's of archive.all"),
        ("archive.all", ("13",), {"date": "2014-08-15"}, "13 of archive.all"),
        ("archive.release", ("13",), {}, "the task archive.release"),
    ],
)
def test_an_option_that_an_older_version_does_not_know_is_reported_in_one_sentence(
    older: list[str],
    capsys: pytest.CaptureFixture[str],
    name: str,
    words: tuple[str, ...],
    options: dict[str, str | bool],
    unknown: str,
) -> None:
    with pytest.raises(UsageError) as refused:
        debug_host.forward(load("staging"), name, *words, **options)

    assert str(refused.value) == f"The version of this tool on debug does not know {unknown}."
    assert refused.value.exit_code is ExitCode.USAGE
    assert refused.value.hint == "Install the version of this machine on debug, too. Nothing was changed."
    assert (older, capsys.readouterr().out) == ([], "")


def test_an_older_version_that_knows_every_option_is_used(older: list[str]) -> None:
    assert debug_host.forward(load("staging"), "archive.all", date="2014-08-15") == 0
    assert older == ["archive.all"]


@pytest.mark.parametrize(
    ("lines", "code"), [(["No idea what '--x' is!", "more"], 1), (["No idea what '--x' is!"], 10), (["Traceback"], 1)]
)
def test_other_endings_are_passed_on_with_all_their_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], lines: list[str], code: int
) -> None:
    def run(jobs: RemoteJobs, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        for line in lines:
            on_line(line)
        return ProbeOutput(code=code)

    monkeypatch.setattr(RemoteJobs, "run", run)

    assert debug_host.forward(load("staging"), "archive.school", "13") == code
    assert capsys.readouterr().out.splitlines() == ["on debug: archive.school", *lines]


def test_a_sentence_from_the_debug_host_is_wrapped_on_a_terminal_and_a_table_is_not(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = ["[2/3] school 13: archived, 4,711 rows", "  year  school  name", '{"year": 2013, "school": 13}']

    def run(jobs: RemoteJobs, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        for line in lines:
            on_line(line)
        return ProbeOutput(code=0, text="")

    monkeypatch.setattr(RemoteJobs, "run", run)
    monkeypatch.setenv("FORCE_COLOR", "1")  # as on a terminal
    monkeypatch.setenv("COLUMNS", "16")
    debug_host.forward(load("staging"), "archive.all")

    shown = capsys.readouterr().out.splitlines()[1:]
    assert shown == ["[2/3] school 13:", "    archived,", "    4,711 rows", *lines[1:]]


def test_the_positional_argument_comes_before_every_option(monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[str] = []

    def run(jobs: RemoteJobs, job: DetachedJob, name: str, on_line: OnLine) -> ProbeOutput:
        lines.append(job.command)
        return ProbeOutput(code=0)

    monkeypatch.setattr(RemoteJobs, "run", run)
    debug_host.forward(load("staging"), "archive.school", "13", pretend=True)

    assert SCHOOL.positional
    assert shlex.split(lines[0])[-4:] == ["13", "--env=staging", "--here", "--pretend"]

"""The list of tasks agrees with their declarations; a command line imports the module of the task that it runs."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.context import Context
from invoke.parser.context import ParserContext

import tasks
from inventory.load import ROOT
from runbooks.cli import listing
from runbooks.cli.listing import declared_task
from runbooks.cli.options import Option
from runbooks.cli.task import task
from tests.declared import declared_tasks

DECLARED = declared_tasks()
OWN = ("archiver", "inventory", "platforms", "rehearsal", "runbooks", "tasks")
START = {
    "tasks",
    "runbooks",
    "runbooks.cli",
    "runbooks.cli.listing",
    "runbooks.cli.own_task",
    "runbooks.cli.task_groups",
}
DOORS = {"psycopg2", "boto3", "fabric", "paramiko", "dns", "celery", "rich", "requests"}  # Invoke has YAML of its own


def words_of(context: ParserContext) -> list[tuple[object, ...]]:
    return [
        (each.names, each.help, each.default, each.positional, each.kind, each.optional, each.value)
        for each in (*context.args.values(), *context.positional_args)
    ]


def test_all_tasks_are_listed_with_the_help_and_the_words_that_they_declare() -> None:
    listed = {str(context.name): context for context in tasks.namespace.to_contexts()}
    declared = {str(context.name): context for context in Collection(*tasks.declared()).to_contexts()}

    assert listed.keys() == declared.keys() == DECLARED.keys()
    for name, context in declared.items():
        assert words_of(listed[name]) == words_of(context), name
        assert tasks.namespace[name].__doc__ == DECLARED[name].__doc__, name


@pytest.mark.parametrize("name", DECLARED)
def test_every_task_is_found_in_the_module_that_is_listed(name: str) -> None:
    assert declared_task(tasks.namespace[name].module, name) is DECLARED[name]


def imported(*words: str) -> set[str]:
    """The modules that a command line imports."""
    code = "import sys, invoke.main as m; m.program.run(['inv', *sys.argv[1:]], exit=False); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=ROOT, capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(
    "words",
    [
        ["--list"],
        ["--help"],
        ["--version"],
        ["--complete", "--", "inv archive."],
        ["--help", "archive.school"],
        ["archive.school", "--help"],
        ["archvie.audit"],
        ["archive.audit", "--no-such-option"],
    ],
    ids=" ".join,
)
def test_what_runs_no_task_imports_no_module_of_one(words: list[str]) -> None:
    names = imported(*words)

    assert {name for name in names if name.partition(".")[0] in OWN} <= START
    assert names & DOORS == set()


@pytest.mark.parametrize("name", ["archive.scope", "archive.audit", "databases.vacuum"])
def test_a_task_that_a_night_asks_for_starts_without_what_it_does_not_need(name: str) -> None:
    names = imported(name, "--env=no-such-environment")

    heavy = {"fabric", "boto3", "dns", "celery", "runbooks.steps.context", "archiver.runs.archive_many"}
    assert DECLARED[name].module in names
    assert names & heavy == set()


@pytest.mark.parametrize("name", ["cutover.status", "cutover.list", "cutover.watch", "archive.list", "archive.show"])
def test_a_look_starts_without_the_way_to_hosts_and_to_the_store(name: str) -> None:
    names = imported(name, *shlex.split(DECLARED[name].example)[2:], "--env=no-such-environment")

    assert DECLARED[name].module in names
    assert names & {"fabric", "paramiko", "boto3", "celery"} == set()


ran: list[str] = []


@task("area.declared", Option(name="word", help="a word", positional=True, required=True))
def declared(word: str) -> None:
    """Say a word."""
    ran.append(word)


class Tool:
    """A tool with one module, and how often all that it declares was imported."""

    def __init__(self, folder: Path) -> None:
        self.root, self.imports = folder, 0
        self.cache = folder / "__pycache__" / "tasks.json"
        (folder / "runbooks").mkdir()
        (folder / "runbooks" / "area.py").write_text("one")

    def declared(self) -> Iterator[Collection]:
        self.imports += 1
        yield Collection("area", declared)

    def start(self) -> Collection:
        return Collection(*listing.listed(self.declared))


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tool:
    tool = Tool(tmp_path)
    monkeypatch.setattr(listing, "ROOT", tool.root)
    monkeypatch.setattr(listing, "PACKAGES", ("runbooks",))
    monkeypatch.setattr(listing, "cache_from_source", lambda source: str(tool.cache.with_name("listing.pyc")))
    return tool


def test_the_second_start_imports_nothing(tool: Tool) -> None:
    first, second = tool.start(), tool.start()

    assert tool.imports == 1
    assert list(first.task_names) == list(second.task_names) == ["area.declared"]


@pytest.mark.parametrize("change", ["written", "new", "gone", "renamed"])
def test_a_changed_source_makes_the_list_anew(tool: Tool, change: str) -> None:
    tool.start()
    module = tool.root / "runbooks" / "area.py"
    if change == "written":
        module.write_text("two!")
    elif change == "new":
        (tool.root / "runbooks" / "further.py").touch()
    elif change == "gone":
        module.unlink()
    else:
        module.rename(module.with_name("other.py"))

    tool.start()

    assert tool.imports == 2


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"stamp": 1}', "\xff"])
def test_a_damaged_list_is_made_anew(tool: Tool, damage: str) -> None:
    tool.start()
    tool.cache.write_text(damage, encoding="latin-1")

    assert list(tool.start().task_names) == ["area.declared"]
    assert tool.imports == 2


def test_a_list_that_can_not_be_kept_is_made_each_time(tool: Tool) -> None:
    tool.cache.parent.write_text("no folder")

    assert [list(tool.start().task_names) for _ in range(2)] == [["area.declared"]] * 2
    assert tool.imports == 2


def test_a_listed_task_runs_what_is_declared(tool: Tool) -> None:
    tool.start()["area.declared"](Context(), word="hello")

    assert ran == ["hello"]

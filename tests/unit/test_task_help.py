"""`--help` of every task: how it is typed, what is required, the defaults, and an example that can be typed."""

from __future__ import annotations

import re
import shlex

import pytest
from invoke.parser import Parser

import tasks
from inventory.load import ROOT
from tests.declared import declared_tasks
from tests.inside import inv_inside

TABLE = (ROOT / "docs" / "tasks.md").read_text().split("<!-- tasks -->")[1].split("<!-- end of tasks -->")[0]


TASKS = declared_tasks()


def test_each_task_has_the_name_that_it_is_declared_with() -> None:
    assert set(TASKS) == set(tasks.namespace.task_names)
    assert all(tasks.namespace[name].full_name == name for name in TASKS)


@pytest.mark.parametrize("name", TASKS)
def test_the_help_shows_how_a_task_is_typed(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    task = TASKS[name]

    said = inv_inside(capsys, "--help", name)

    assert said.code == 0, said.err
    text = " ".join(said.out.split())
    usage = re.search(rf"Usage: inv {re.escape(name)} (.*?) Example:", text)
    assert usage, text
    for option in task.options:
        if option.positional:
            assert option.key.upper() in usage[1]
        if option.required:
            assert "".join(f"required: {option.help}".split()) in "".join(text.split())  # it is wrapped at hyphens, too
            assert (option.key.upper() if option.positional else f"{option.label}=") in usage[1]
        if option.default:
            assert f"(default: {option.default})" in text
    assert f" {task.example} " in text


@pytest.mark.parametrize("name", TASKS)
def test_the_example_of_a_task_is_understood(name: str) -> None:
    context, *more = Parser(contexts=tasks.namespace.to_contexts()).parse_argv(shlex.split(TASKS[name].example)[1:])

    assert (context.name, more) == (name, [])
    texts = {argument.name: argument.value for argument in context.args.values()}
    for option in TASKS[name].options:
        option.value(texts[option.name])


def test_the_page_of_tasks_shows_the_same_examples() -> None:
    shown = re.findall(r"^\| `(inv [^`]+)`", TABLE, re.MULTILINE)

    assert shown == [TASKS[line.split()[1]].example for line in shown]


def test_a_listed_task_shows_only_its_own_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    text = inv_inside(capsys, "--list").out

    assert "journaled with its night" not in text
    assert "Skips if already done; journaled with its night." in inv_inside(capsys, "--help", "backups.dump").out

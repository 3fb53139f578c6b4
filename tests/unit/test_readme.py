"""README stays true: its tasks are those of `inv --list`, its commands are real, its paths exist."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from invoke.collection import Collection

import tasks
from errors import ExitCode
from inventory.load import ROOT

README = (ROOT / "README.md").read_text()


def named(collection: Collection, prefix: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """Each task with the help of its options; Invoke gives an option's help away only once."""
    for name, task in collection.tasks.items():
        assert task.__doc__, name
        yield prefix + name.replace("_", "-"), {argument.name: argument.help for argument in task.get_arguments()}
    for name, inner in collection.collections.items():
        yield from named(inner, f"{prefix}{name.replace('_', '-')}.")


TASKS = dict(named(tasks.namespace))
COMMANDS = sorted(set(re.findall(r"\binv ([a-z]+\.[a-z-]+)((?: +[^\s`|)]+)*)", README)))


def test_the_table_has_every_task_and_no_other() -> None:
    table = README.split("<!-- tasks -->")[1].split("<!-- end of tasks -->")[0]

    assert sorted(re.findall(r"`inv\s+([\w.-]+)", table)) == sorted(TASKS)


@pytest.mark.parametrize(("name", "words"), COMMANDS)
def test_a_command_in_the_readme_has_a_task_and_options_that_exist(name: str, words: str) -> None:
    for option in re.findall(r"--([a-z][\w-]*)", words):
        assert option.replace("-", "_") in {known.strip("_").replace("-", "_") for known in TASKS[name]}


def test_every_option_has_help() -> None:
    for name, options in TASKS.items():
        for option, text in options.items():
            assert text, f"{name} --{option}"


def test_the_exit_codes_are_those_of_the_code() -> None:
    section = README.split("### Exit codes")[1].split("##")[0]

    assert [int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)] == list(ExitCode)


def test_every_folder_of_the_layout_exists_and_each_package_is_named() -> None:
    layout = README.split("## Layout")[1].split("##")[0]

    for path in re.findall(r"^\| `([^`]+)`", layout, re.MULTILINE):
        assert (ROOT / path).exists(), path
    tops = {path.parent for path in ROOT.glob("[!.]*/*.py")}
    rooms = {path.parent for top in ("runbooks", "archiver") for path in ROOT.glob(f"{top}/*/*.py")}
    assert {room for room in tops | rooms if f"| `{room.relative_to(ROOT)}/` |" not in layout} == set()


def test_links_lead_to_files() -> None:
    for link in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / link).exists(), link


def test_the_glossary_is_in_order_and_has_each_word_once() -> None:
    lines = re.findall(r"^\| (.+?) \|", README.split("## Glossary")[1], re.MULTILINE)[1:]

    assert lines == sorted(lines)
    words = [word for line in lines for word in line.split(", ")]
    assert len(words) == len(set(words))

"""README and its pages stay true: their tasks, commands, exit codes, folders and links are those of the code."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from invoke.collection import Collection
from invoke.parser import Parser

import tasks
from errors import ExitCode
from inventory.load import ROOT
from rehearsal import lab

MOST_LINES = 180  # of README: what a newcomer reads in ten minutes
DOCS = sorted(ROOT.glob("docs/*.md"))
PATHS = (*sorted(ROOT.glob("*.md")), *DOCS, ROOT / "bench" / "README.md")
PAGES = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in PATHS}
README, CONTRIBUTING = PAGES["README.md"], PAGES["CONTRIBUTING.md"]
# The changelog has names of the past, and the page of the source has a test of its own.
TODAY = [name for name in PAGES if name not in ("CHANGELOG.md", "docs/source.md")]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
TARGETS = set((ROOT / "Makefile").read_text(encoding="utf-8").partition(".PHONY: ")[2].partition("\n")[0].split())


def named(collection: Collection, prefix: str = "") -> Iterator[tuple[str, dict[str, str]]]:
    """Each task with the help of its options; Invoke gives an option's help away only once."""
    for name, task in collection.tasks.items():
        assert task.__doc__, name
        yield prefix + name.replace("_", "-"), {argument.name: argument.help for argument in task.get_arguments()}
    for name, inner in collection.collections.items():
        yield from named(inner, f"{prefix}{name.replace('_', '-')}.")


TASKS = dict(named(tasks.namespace))


def typed(page: str) -> Iterator[str]:
    """Yield every command of this tool on a page: in a line of a block, or between backticks, also over two lines."""
    for block in FENCE.findall(page):
        yield from re.findall(r"^(?:\$ )?inv ([a-z]+\.[a-z].*?)(?:  +#.*)?$", block, re.MULTILINE)
    for words in re.findall(r"`inv\s([a-z]+\.[a-z][^`]*)`", FENCE.sub("", page)):
        yield " ".join(words.split())


COMMANDS = sorted({(name, words) for name in TODAY for words in typed(PAGES[name])})


def headings(page: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", FENCE.sub("", page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def test_the_table_has_every_task_and_no_other() -> None:
    table = PAGES["docs/tasks.md"].split("<!-- tasks -->")[1].split("<!-- end of tasks -->")[0]

    assert sorted(re.findall(r"`inv\s+([\w.-]+)", table)) == sorted(TASKS)


@pytest.mark.parametrize(("page", "words"), COMMANDS)
def test_a_command_on_a_page_is_understood(page: str, words: str) -> None:
    name, *arguments = shlex.split(words.partition(" > ")[0])

    assert name in TASKS, page
    if arguments:
        [context] = Parser(contexts=tasks.namespace.to_contexts()).parse_argv([name, *arguments])
        assert context.name == name


def test_every_page_that_shows_commands_is_held_to_them() -> None:
    assert {page for page, _ in COMMANDS} >= {"README.md", "docs/tasks.md", "docs/operations.md"}


def test_every_option_has_help() -> None:
    for name, options in TASKS.items():
        for option, text in options.items():
            assert text, f"{name} --{option}"


def test_the_exit_codes_are_those_of_the_code() -> None:
    codes = re.findall(r"^\| (\d+) \|", PAGES["docs/exit-codes.md"], re.MULTILINE)

    assert [int(code) for code in codes] == list(ExitCode)


def test_every_folder_of_the_layout_exists_and_each_package_is_named() -> None:
    layout = PAGES["docs/layout.md"]

    for path in re.findall(r"^\| `([^`]+)`", layout, re.MULTILINE):
        assert (ROOT / path).exists(), path
    tops = {path.parent for path in ROOT.glob("[!.]*/*.py")}
    rooms = {path.parent for top in ("runbooks", "archiver") for path in ROOT.glob(f"{top}/*/*.py")}
    assert {room for room in tops | rooms if f"| `{room.relative_to(ROOT)}/` |" not in layout} == set()


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_files_and_to_headings(name: str) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", FENCE.sub("", PAGES[name])):
        if re.match(r"https?://", link):
            continue
        path, _, anchor = link.partition("#")
        target = ((ROOT / name).parent / path).resolve() if path else ROOT / name
        assert target.exists(), link
        if anchor:
            assert anchor in headings(target.read_text()), link


@pytest.mark.parametrize("path", [*DOCS, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"], ids=lambda path: path.name)
def test_readme_leads_to_every_page(path: Path) -> None:
    assert f"]({path.relative_to(ROOT)})" in README


def test_the_handbook_begins_with_a_list_of_its_chapters() -> None:
    page = PAGES["docs/operations.md"]
    chapters = headings("\n".join(re.findall(r"^## .+$", page, re.MULTILINE)))

    assert set(re.findall(r"\]\(#([\w-]+)\)", page.split("\n## ")[0])) == chapters


def test_readme_has_ten_everyday_commands_and_six_steps_for_another_product() -> None:
    everyday = README.split("## Ten everyday commands")[1].split("\n## ")[0]
    steps = README.split("## Use it for yours")[1].split("\n## ")[0]

    assert len(re.findall(r"^\| `inv ", everyday, re.MULTILINE)) == 10
    assert re.findall(r"^(\d)\. ", steps, re.MULTILINE) == list("123456")


def test_readme_names_the_python_and_the_lab_that_there_are() -> None:
    least = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["requires-python"]

    assert f"Python {least.removeprefix('>=')} or newer" in README
    assert f"{lab.DEFAULT_SCHOOLS} schools" in README


def test_every_make_target_is_explained_and_each_that_is_named_exists() -> None:
    blocks = "\n".join(block for name in TODAY for block in FENCE.findall(PAGES[name]))
    shown = {target for name in TODAY for target in re.findall(r"`make ([\w-]+)", PAGES[name])}
    shown |= set(re.findall(r"^make ([\w-]+)", blocks, re.MULTILINE))

    assert shown <= TARGETS
    assert set(re.findall(r"`make ([\w-]+)", CONTRIBUTING)) >= TARGETS


def test_the_glossary_is_in_order_and_has_each_word_once() -> None:
    lines = re.findall(r"^\| (.+?) \|", PAGES["docs/glossary.md"], re.MULTILINE)[1:]

    assert lines == sorted(lines)
    words = [word for line in lines for word in line.split(", ")]
    assert len(words) == len(set(words))

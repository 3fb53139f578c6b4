"""docs/install.md stays true: its commands are understood, and its names are those of production's inventory."""

from __future__ import annotations

import re
import shlex

import pytest
from invoke.parser import Parser

import tasks
from inventory.load import ROOT, load
from inventory.model import Role
from tests.declared import declared_tasks

PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
LINES = "".join(text for kind, text in BLOCKS if kind in ("cron", "ini"))
COMMANDS = re.findall(r"\binv ([a-z]+\.[a-z][^`\n]*)", LINES)


def test_cron_lines_and_services_are_found() -> None:
    assert len(COMMANDS) == 6


@pytest.mark.parametrize("words", COMMANDS)
def test_a_command_of_a_cron_line_or_a_service_is_understood(words: str) -> None:
    context, *more = Parser(contexts=tasks.namespace.to_contexts()).parse_argv(shlex.split(words))

    assert (f"{context.name} ".startswith(f"{words.split()[0]} "), more) == (True, [])
    texts = {argument.name: argument.value for argument in context.args.values()}
    for option in declared_tasks()[words.split()[0]].options:
        option.value(texts[option.name])


def test_the_names_of_the_page_are_those_of_production() -> None:
    production = load("production")
    connection = production.master.connection

    assert f"[{connection['service']}]" in PAGE
    assert f"host={production.hosts['db-master'].address}" in PAGE
    assert len(production.with_role(Role.DATABASE)) == 5
    assert production.tool == "/opt/cutover/.venv/bin/inv"
    for path in (production.tool, production.state, production.host_name_file, production.store.bucket):
        assert path in PAGE
    user = production.archiver_host.user if production.archiver_host else ""
    assert f"User={user}" in PAGE
    assert production.scratch.connection["dbname"] in PAGE


def test_cron_lines_have_five_fields_and_the_folder_of_the_tool() -> None:
    lines = [line for kind, text in BLOCKS if kind == "cron" for line in text.splitlines() if re.match(r"[\d*]", line)]

    assert lines
    assert all(re.match(r"(?:[\d*/,-]+ ){5}cd /opt/cutover && inv ", line) for line in lines), lines

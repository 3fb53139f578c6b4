"""`docs/source.md` stays true: its commands are understood, its paths exist, its deviations have reasons."""

from __future__ import annotations

import re
import shlex

import pytest
from invoke.parser import Parser

import tasks
from inventory.load import ROOT

PAGE = (ROOT / "docs" / "source.md").read_text(encoding="utf-8")
WORDS = re.findall(r"`([^`]+)`", PAGE)
DEVIATIONS = PAGE.partition("## Where it does otherwise")[2]


@pytest.mark.parametrize("line", sorted({word for word in WORDS if word.startswith("inv ")}))
def test_a_command_on_the_page_is_understood(line: str) -> None:
    arguments = shlex.split(line)[1:]
    if arguments[0] == "--help":
        arguments = arguments[1:]
    contexts = {context.name: context for context in tasks.namespace.to_contexts()}
    assert arguments[0] in contexts
    if len(arguments) > 1:
        [parsed] = Parser(contexts=tasks.namespace.to_contexts()).parse_argv(arguments)
        assert parsed.name == arguments[0]


@pytest.mark.parametrize("path", sorted({word for word in WORDS if re.fullmatch(r"[a-z_]+/[\w./]*", word)}))
def test_a_path_on_the_page_exists(path: str) -> None:
    assert (ROOT / path).exists()


def test_every_deviation_is_met_in_a_row_and_has_a_reason() -> None:
    met = re.findall(r"\*\*(D\d+)\*\*", PAGE.partition("## End of year")[2].partition("## Where it does otherwise")[0])
    reasons = re.findall(r"^\| \*\*(D\d+)\*\* \| [^|]+ \| [^|]+ \|$", DEVIATIONS, re.MULTILINE)

    assert reasons == [f"D{number}" for number in range(1, len(reasons) + 1)]
    assert set(met) == set(reasons)

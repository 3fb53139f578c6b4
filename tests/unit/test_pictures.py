"""The pictures of the documents: how a terminal's output becomes one, and that those in docs/pictures can be shown."""

from __future__ import annotations

import io
import re
import sys
import xml.etree.ElementTree as Xml
from pathlib import Path
from subprocess import CalledProcessError

import pytest
from rich.console import Console
from rich.live import Live
from rich.text import Text

from inventory.load import ROOT
from tests.pictures.drawing import part, svg
from tests.pictures.terminal import screen, typed

FOLDER = ROOT / "docs" / "pictures"
PICTURES = sorted(FOLDER.glob("*.svg"))
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
SVG = "{http://www.w3.org/2000/svg}"


def plain(lines: list[str]) -> list[str]:
    return [Text.from_ansi(line).plain for line in lines]


def test_a_screen_keeps_what_a_live_table_left() -> None:
    file = io.StringIO()
    console = Console(file=file, width=40, force_terminal=True)
    console.print("before", style="green")
    with Live(Text("one\ntwo\nthree"), console=console, transient=True, auto_refresh=False) as live:
        live.update(Text("four\nfive"), refresh=True)
    console.print("after")

    assert [line.rstrip() for line in plain(screen(file.getvalue()))] == ["before", "after"]


def test_a_screen_keeps_colors() -> None:
    assert screen("\x1b[31mred\x1b[0m\r\nnot") == ["\x1b[31mred\x1b[0m", "not"]


def test_a_command_is_at_a_terminal_of_the_width_that_is_asked_for(tmp_path: Path) -> None:
    script = "import os, sys; print(sys.stdout.isatty(), os.get_terminal_size().columns, os.environ['NIGHT'])"

    assert typed([sys.executable, "-c", script], 97, tmp_path, {"NIGHT": "long"}) == "True 97 long\r\n"


def test_a_command_that_fails_makes_no_picture(tmp_path: Path) -> None:
    with pytest.raises(CalledProcessError) as caught:
        typed([sys.executable, "-c", "print('no'); raise SystemExit(3)"], 80, tmp_path, {})
    assert (caught.value.returncode, caught.value.output) == (3, "no\r\n")


def test_a_part_is_cut_out_by_its_words_without_blank_lines_at_its_end() -> None:
    assert part(["one", "\x1b[1mtwo\x1b[0m", "three", "", "four"], "two", "four") == ["\x1b[1mtwo\x1b[0m", "three"]
    with pytest.raises(ValueError, match="No lines from 'four' to 'one'"):
        part(["one", "four"], "four", "one")


def test_a_picture_shows_every_line() -> None:
    root = Xml.fromstring(svg(["\x1b[32m✓ done\x1b[0m  <db-master>", "second"], 80, "A title"))
    shown = [node.text.replace("\xa0", " ") for node in root.iter(f"{SVG}text") if node.text]

    assert "✓ done" in " ".join(shown)
    assert "<db-master>" in " ".join(shown)
    assert {"A title", "second"} <= set(shown)


def test_a_picture_breaks_a_long_line_as_a_terminal_does() -> None:
    root = Xml.fromstring(svg(["a" * 25, "", "b" * 10], 10, "A title"))
    shown = [node.text for node in root.iter(f"{SVG}text") if node.text and node.text.strip()]

    assert shown[1:] == ["a" * 10, "a" * 10, "a" * 5, "b" * 10]


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_fetches_nothing_and_names_no_machine_that_made_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    Xml.fromstring(text)
    assert not re.search(r"@font-face|url\((?!#)|href|<script", text)
    assert not re.search(r"/(home|root|tmp|work|var)/", text)


def test_every_picture_is_shown_and_described_on_a_page() -> None:
    pages = "\n".join(path.read_text(encoding="utf-8") for path in DOCUMENTS)

    for path in FOLDER.iterdir():
        assert re.search(rf"!\[[^\]]{{20,}}\]\((docs/)?pictures/{re.escape(path.name)}\)", pages), path.name

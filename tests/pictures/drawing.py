"""Lines of a terminal as a picture: SVG that needs no font and no address of another machine."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

from tests.pictures.terminal import without_blank_end

# Rich's own format fetches a font; every system has a font of equal widths.
FORMAT = re.sub(r"\s*@font-face \{\{.*?\}\}", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)


def svg(lines: Sequence[str], width: int, title: str) -> str:
    """Return lines with colors, as a terminal of this width shows them, as an SVG."""
    console = Console(record=True, file=io.StringIO(), width=width, legacy_windows=False)
    for line in lines:
        text = Text.from_ansi(line)
        for piece in text.divide(range(width, len(text), width)):  # a terminal breaks a long line anywhere
            console.print(piece, soft_wrap=True)
    drawn = console.export_svg(title=title, code_format=FORMAT, unique_id="terminal")
    return "\n".join(line.rstrip() for line in drawn.splitlines()) + "\n"


def part(lines: Sequence[str], begin: str, end: str) -> list[str]:
    """Return the lines from the first that has one text to the last before another; ValueError without the two."""
    plain = [Text.from_ansi(line).plain for line in lines]
    first = next((number for number, line in enumerate(plain) if begin in line), None)
    after = next(
        (number for number, line in enumerate(plain) if first is not None and number > first and end in line), None
    )
    if first is None or after is None:
        raise ValueError(f"No lines from {begin!r} to {end!r} are on the screen.")
    return without_blank_end(lines[first:after])

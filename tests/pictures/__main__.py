"""`python -m tests.pictures`: play a short session in a lab of its own, and draw the pictures of the documents."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from inventory.load import ROOT
from tests.pictures.drawing import part, svg
from tests.pictures.terminal import screen, typed

PLAYED = ROOT / ".pictures"  # what the session wrote; the pictures can be drawn again from it
DRAWN = ROOT / "docs" / "pictures"
WIDTH = 80  # characters of the terminal
NIGHT = "2014-08-15"
REPORT = "report.html"
# Of the night's screen: from the line with one text to the line before the other.
PARTS = ((" 1/16 ", " 4/16 "), (" 8/16 ", "    Every school"), ("    backups verified", "9a/16 "))
LEFT_OUT = "\x1b[2m  …\x1b[0m"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1")
PAGE = (900, 1120)  # pixels of the report that are shown


@dataclass(frozen=True)
class Command:
    """A command of the session, and the name of the file that keeps what it wrote."""

    name: str
    words: tuple[str, ...]

    @property
    def line(self) -> str:
        """The command as a person types it."""
        words = [f'"{word}"' if " " in word else word for word in self.words]
        return f"$ inv {' '.join(words)}"


SESSION = (
    Command("night", ("rehearsal.run", f"--date={NIGHT}", "--keep")),
    Command("find", ("archive.find", "student", "592")),
    Command("query", ("archive.query", "13", "SELECT count(*), max(grade) FROM students")),
    Command("restore", ("restore.school", "13")),
    Command("archive", ("archive.school", "13", f"--date={NIGHT}")),
)


def main() -> int:
    """Play and draw; with `draw` as the only word, draw again what was played last."""
    if sys.argv[1:] != ["draw"]:
        play()
    draw()
    return 0


def play() -> None:
    """Play the session on terminals, in a lab that is ended afterwards; keep what they showed, and the report."""
    shutil.rmtree(PLAYED, ignore_errors=True)
    PLAYED.mkdir()
    inv = str(Path(sys.executable).with_name("inv"))
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        home = Path(folder) / "lab"
        variables = {"REHEARSAL_HOME": str(home)}
        try:
            for command in SESSION:
                (PLAYED / command.name).write_bytes(typed([inv, *command.words], WIDTH, ROOT, variables).encode())
            shutil.copy(home / "state" / "rehearsal" / NIGHT / REPORT, PLAYED)
        except subprocess.CalledProcessError as error:
            sys.stderr.write(error.output)
            raise
        finally:
            typed([inv, "rehearsal.down"], WIDTH, ROOT, variables)


def draw() -> None:
    """Draw each picture from what was played; the report only where there is a browser."""
    DRAWN.mkdir(exist_ok=True)
    save("night", shown_parts(screen(wrote("night"))), "A night")
    save("school", shown(SESSION[1:]), "One school")
    if browser := next(filter(None, map(shutil.which, BROWSERS)), None):
        photograph(browser)


def shown_parts(night: Sequence[str]) -> list[str]:
    """Return the parts of a night that the picture shows, with a mark where something is left out."""
    lines: list[str] = []
    for begin, end in PARTS:
        lines += ([LEFT_OUT] if lines else []) + part(night, begin, end)
    return lines


def shown(commands: Sequence[Command]) -> list[str]:
    """Return commands as they were typed, each with what it showed."""
    lines: list[str] = []
    for command in commands:
        lines += [f"\x1b[1m{command.line}\x1b[0m", *screen(wrote(command.name))]
    return lines


def wrote(name: str) -> str:
    """Return what a command wrote, with each return of the cursor."""
    return (PLAYED / name).read_bytes().decode()


def save(name: str, lines: Sequence[str], title: str) -> None:
    """Write one picture."""
    (DRAWN / f"{name}.svg").write_text(svg(lines, WIDTH, title), encoding="utf-8")


def photograph(browser: str) -> None:
    """Write the top of the report as an image; it names an operator, and not the one who made the picture."""
    page = (PLAYED / REPORT).read_text(encoding="utf-8")
    me = f"{os.environ.get('CUTOVER_OPERATOR') or getpass.getuser()}@{socket.gethostname()}"
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        copy = Path(folder) / REPORT
        copy.write_text(page.replace(me, "ann@control"), encoding="utf-8")
        size = ",".join(map(str, PAGE))
        words = (f"--user-data-dir={folder}/profile", f"--screenshot={DRAWN / 'report.png'}", f"--window-size={size}")
        subprocess.run([browser, *FLAGS, *words, f"file://{copy}"], check=True, capture_output=True, timeout=300)


if __name__ == "__main__":
    sys.exit(main())

"""A short command as a script for a bare `sh`, and its answer between two marks. Pure.

The login shell is only asked for `sh`, which reads the script from its input: how that shell quotes, what it cuts, and
its words before the answer change nothing. Without both marks an answer is incomplete.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass

SHELL = "sh"
MAX_OUTPUT = 1024 * 1024  # bytes of a command's output, at most
_SPARE = 4096  # bytes beyond that, for the mark at the end


def script(command: str, mark: str) -> str:
    """Return a script that runs a command without any input, and prints marks before and after its output."""
    return (
        f"printf '%s\\n' '{mark} begins'\n"
        f"printf '%s\\n' '{mark} begins' >&2\n"
        f"sh -c {shlex.quote(command)} < /dev/null\n"
        "code=$?\n"
        f"printf '%s %s\\n' '{mark} ends' \"$code\"\n"
        'exit "$code"\n'
    )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The output of a command, and its exit status."""

    code: int
    text: str


class Hearing:
    """The bytes of one stream of a command, as they come; of many only the last stay."""

    def __init__(self, mark: str) -> None:
        self._begin = f"{mark} begins\n".encode()
        self._end = f"{mark} ends ".encode()
        self._held = bytearray()
        self._size = 0  # bytes since the first mark
        self.begun = False

    def add(self, data: bytes) -> None:
        """Take the next bytes; those before the first mark are of the login shell."""
        self._held += data
        self._size += len(data)
        if not self.begun and (at := self._held.find(self._begin)) >= 0:
            self.begun = True
            del self._held[: at + len(self._begin)]
            self._size = len(self._held)
        if len(self._held) > 2 * MAX_OUTPUT:
            del self._held[: -MAX_OUTPUT - _SPARE]

    @property
    def text(self) -> str:
        """Everything that was said, a long one from the start of a line; before the first mark, the shell's words."""
        return _ending(bytes(self._held), self._size)

    @property
    def answer(self) -> Answer | None:
        """The whole answer; None if a mark is missing."""
        at = self._held.rfind(self._end)
        code = self._held[at + len(self._end) :].split(b"\n")[0]
        if not self.begun or at < 0 or not code.isdigit():
            return None
        return Answer(code=int(code), text=_ending(bytes(self._held[:at]), self._size - len(self._held) + at))


def _ending(output: bytes, size: int) -> str:
    """Return an output as text: a long one's end, from the start of a line, below a line that says so."""
    if size <= MAX_OUTPUT:
        return output.decode("utf-8", "replace")
    end = output[-MAX_OUTPUT:]
    end = end[end.find(b"\n", 0, -1) + 1 :]
    return f"[{size - len(end)} bytes before this are omitted]\n{end.decode('utf-8', 'replace')}"

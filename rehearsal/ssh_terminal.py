"""A command in a terminal of its own, for `ssh -t` and for a person's shell."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

CHUNK = 64 * 1024


async def run_in_terminal(session: Any, words: Sequence[str], *, cwd: str, env: Mapping[str, str]) -> int:
    """Run a command in a terminal connected to the session, and return its exit code."""
    ours, theirs = os.openpty()
    _resize(ours, session.term_size)
    child = await asyncio.create_subprocess_exec(
        *words, stdin=theirs, stdout=theirs, stderr=theirs, cwd=cwd, env=env, preexec_fn=partial(os.login_tty, theirs)
    )
    os.close(theirs)
    feeding = asyncio.create_task(_feed(session, ours))
    await _pump(session, ours)
    code = await child.wait()
    feeding.cancel()
    os.close(ours)
    return code


def _resize(terminal: int, size: Sequence[int]) -> None:
    columns, rows = size[0] or 80, size[1] or 24
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


async def _feed(session: Any, terminal: int) -> None:
    """Copy what the person types to the terminal."""
    with suppress(OSError):
        while data := await session.stdin.read(CHUNK):
            os.write(terminal, data)


async def _pump(session: Any, terminal: int) -> None:
    """Copy the terminal's output to the person, until no process has the terminal open."""
    while data := await asyncio.to_thread(_read, terminal):
        with suppress(OSError):  # the person has disconnected
            session.stdout.write(data)
            await session.stdout.drain()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, CHUNK)
    except OSError:  # Linux's way to report that the other side is closed
        return b""

"""The inventory's command that keeps the application off a tenant meanwhile: the only door to a shell."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from errors import CutoverError, RefusedError
from inventory.model import FENCED, Fence

LONGEST = 120  # seconds that a command may take


@contextmanager
def fenced(fence: Fence | None, noun: str, tenant_id: int) -> Iterator[None]:
    """Fences a tenant while the block runs, however it ends; without a fence nothing is done.

    Raises RefusedError where the fence does not close, with nothing begun, and CutoverError where it does not open.
    """
    if fence is None:
        yield
        return
    who = f"the fence of {noun} {tenant_id}"
    if failure := _run(fence.close, tenant_id):
        _run(fence.open, tenant_id)  # it may have closed all the same
        raise RefusedError(f"Closing {who} failed: {failure}. Nothing was begun.", hint="See `fence` in the inventory.")
    try:
        yield
    except CutoverError as error:
        # What went wrong stays what it was: unknown stays unknown.
        with_fence = _still_closed(fence, who, tenant_id)
        error.args = (" ".join([str(error), *with_fence]),)
        raise
    except BaseException:
        _run(fence.open, tenant_id)
        raise
    if told := _still_closed(fence, who, tenant_id):
        raise CutoverError(*told)


def open_fence(fence: Fence | None, noun: str, tenant_id: int) -> None:
    """Opens the fence of a tenant that nobody is at work on: a run that was killed may have left it closed."""
    if fence and (told := _still_closed(fence, f"the fence of {noun} {tenant_id}", tenant_id)):
        raise CutoverError(*told)


def _still_closed(fence: Fence, who: str, tenant_id: int) -> list[str]:
    """Opens the fence; a sentence where that fails, else nothing."""
    failure = _run(fence.open, tenant_id)
    command = _filled(fence.open, tenant_id)
    return [f"Opening {who} failed: {failure}. It is still closed; run: {command}"] if failure else []


def _run(command: str, tenant_id: int) -> str:
    """What went wrong; empty where nothing did."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", _filled(command, tenant_id)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=LONGEST,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {LONGEST} s"
    said = done.stderr.strip().splitlines()
    return f"exit {done.returncode}{f' ({said[-1]})' if said else ''}" if done.returncode else ""


def _filled(command: str, tenant_id: int) -> str:
    return command.replace(FENCED, str(tenant_id))

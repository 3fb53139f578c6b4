"""The fence: inventory commands that keep the application off a tenant. The only module that starts a shell."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from errors import CutoverError, RefusedError
from inventory.keys import Key
from inventory.model import FENCED, Fence

TIMEOUT = 120  # seconds


@contextmanager
def fenced(fence: Fence | None, noun: str, tenant_id: Key) -> Iterator[None]:
    """Keep the application off a tenant while the block runs, however it ends; do nothing if there is no fence.

    Raise RefusedError if the fence does not close: the block is not run. Raise CutoverError if it does not open again.
    """
    if fence is None:
        yield
        return
    name = f"the fence of {noun} {tenant_id}"
    if failure := _run(fence.close, tenant_id):
        _run(fence.open, tenant_id)  # it may have closed despite the failure
        raise RefusedError(
            f"Closing {name} failed: {failure}. Nothing was begun.", hint="See `fence` in the inventory."
        )
    try:
        yield
    except CutoverError as error:
        # The error keeps its class: an unknown outcome stays unknown.
        failures = _reopen(fence, name, tenant_id)
        error.args = (" ".join([str(error), *failures]),)
        raise
    except BaseException:
        _run(fence.open, tenant_id)
        raise
    if failures := _reopen(fence, name, tenant_id):
        raise CutoverError(*failures)


def open_fence(fence: Fence | None, noun: str, tenant_id: Key) -> None:
    """Open the fence of a tenant that no run is working on: a run that was killed may have left it closed."""
    if fence and (failures := _reopen(fence, f"the fence of {noun} {tenant_id}", tenant_id)):
        raise CutoverError(*failures)


def _reopen(fence: Fence, name: str, tenant_id: Key) -> list[str]:
    """Open the fence. Return one sentence if that fails, else an empty list."""
    failure = _run(fence.open, tenant_id)
    command = _filled(fence.open, tenant_id)
    return [f"Opening {name} failed: {failure}. It is still closed; run: {command}"] if failure else []


def _run(command: str, tenant_id: Key) -> str:
    """Run a command. Return the cause of its failure; empty if it succeeded."""
    try:
        completed = subprocess.run(
            ["/bin/sh", "-c", _filled(command, tenant_id)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:
        return f"no answer within {TIMEOUT} s"
    lines = completed.stderr.strip().splitlines()
    return f"exit {completed.returncode}{f' ({lines[-1]})' if lines else ''}" if completed.returncode else ""


def _filled(command: str, tenant_id: Key) -> str:
    return command.replace(FENCED, shlex.quote(str(tenant_id)))

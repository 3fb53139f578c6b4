"""The end of a task that failed: one sentence with a hint, and a documented exit code."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from typing import NoReturn

from invoke.exceptions import Exit

from errors import CutoverError, ExitCode
from runbooks.engine.model.redactor import redactor_for


def leave(error: BaseException) -> NoReturn:
    """End the task by the table of exit codes: raise Exit with the error's sentence and its hint."""
    clean = redactor_for().clean
    if _debugging():
        sys.stderr.write(clean("".join(traceback.format_exception(error))))
    if isinstance(error, CutoverError):
        raise Exit(clean("\n".join([str(error), *_hint(error.hint)])), code=error.exit_code) from None
    if isinstance(error, KeyboardInterrupt):
        raise Exit("Interrupted.", code=ExitCode.INTERRUPTED) from None
    if isinstance(error, BrokenPipeError):
        _discard_stdout()
        raise Exit(code=ExitCode.FAILED) from None
    if not isinstance(error, Exception):
        raise error
    message = f"This should not have happened: {type(error).__name__}: {' '.join(str(error).split()) or 'no message'}"
    hint = "Run it again with CUTOVER_DEBUG=1 to see where."
    raise Exit(clean("\n".join([message, *_hint(hint)])), code=ExitCode.FAILED) from None


def _hint(text: str) -> list[str]:
    return [f"hint: {text}"] if text else []


def _debugging() -> bool:
    # `inv --debug` and INVOKE_DEBUG leave no other trace than the level of the root logger.
    return bool(os.environ.get("CUTOVER_DEBUG")) or logging.getLogger().isEnabledFor(logging.DEBUG)


def _discard_stdout() -> None:
    """Send the rest of the output nowhere: its reader has ended, and the interpreter's last flush would complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

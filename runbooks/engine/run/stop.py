"""The stop of a run, journaled whatever ends it: an error, a signal, or an unforeseen exception."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from errors import CutoverError, ExitCode
from runbooks.engine.model.journal import Journal


@contextmanager
def stop_journaled(journal: Journal, warn: Callable[[str], None], *, begun: bool = True) -> Iterator[None]:
    """Journal the reason if the block ends early; where blocks are nested, once.

    `begun`: False if the run begins within the block; one that ends before its first event has nothing to journal.
    """
    since = len(journal.events)
    try:
        yield
    except BaseException as error:
        interruption = _interruption(error)
        reason, code = _reason(interruption or error)
        try:
            journal.stop(reason, code, since=since, begun=begun)
        except CutoverError as failed:  # what ended the run says more than why the journal can't
            warn(f"The journal does not say that this run stopped. {failed}")
        if interruption and interruption is not error:
            raise interruption from error
        raise


def _reason(error: BaseException) -> tuple[str, ExitCode]:
    if isinstance(error, CutoverError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt | GeneratorExit):
        return f"interrupted by {error}" if error.args else "interrupted", ExitCode.INTERRUPTED
    return f"this should not have happened: {type(error).__name__}: {error}", ExitCode.FAILED


def _interruption(error: BaseException | None) -> KeyboardInterrupt | None:
    """Return the Ctrl-C or signal behind an error: what it broke off may have raised an error of its own."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__context__
    return error

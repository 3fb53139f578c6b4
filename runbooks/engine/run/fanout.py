"""Work on several hosts at once, a few at a time, in threads that a Ctrl-C can abandon."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

from runbooks.engine.live.background import Ended, begin, ended

T = TypeVar("T")
GRACE = 1.0  # seconds, in total, in which the threads may still journal their results

_Waiting = SimpleQueue[tuple[int, Callable[[], T]]]
_Results = SimpleQueue[tuple[int, Ended[T]]]


def fan_out(work: Sequence[Callable[[], T]], *, limit: int, on_interrupt: Callable[[], None]) -> list[T]:
    """Return the results of all calls, in their order; at most `limit` run at a time.

    After all have ended, the first exception is raised. On Ctrl-C no further call begins, `on_interrupt` ends the
    waits of those that run, and KeyboardInterrupt is raised once they have ended, or after GRACE at the latest.
    """
    waiting: _Waiting[T] = SimpleQueue()
    results: _Results[T] = SimpleQueue()
    for item in enumerate(work):
        waiting.put(item)
    came = dict[int, Ended[T]]()
    try:
        for _ in range(min(limit, len(work))):
            begin(_serve, waiting, results)
        while len(came) < len(work):
            came.update([results.get()])
    except KeyboardInterrupt:
        unbegun = _drain(waiting)
        on_interrupt()
        _await(results, len(work) - len(came) - unbegun)
        raise
    return [came[index].result() for index in range(len(work))]


def _serve(waiting: _Waiting[T], results: _Results[T]) -> None:
    with suppress(Empty):
        while True:
            index, call = waiting.get_nowait()
            results.put((index, ended(call)))


def _drain(waiting: _Waiting[T]) -> int:
    """Return how many calls never begin."""
    count = 0
    with suppress(Empty):
        while True:
            waiting.get_nowait()
            count += 1
    return count


def _await(results: _Results[T], count: int) -> None:
    end = time.monotonic() + GRACE
    with suppress(Empty):
        for _ in range(count):
            results.get(timeout=max(0.0, end - time.monotonic()))

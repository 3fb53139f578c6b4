"""Work on several hosts at once, a few at a time, in threads that a Ctrl-C can abandon."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import TypeVar

T = TypeVar("T")
GRACE = 1.0  # seconds, in total, in which the threads may still journal their results

_Done = tuple[int, T | None, BaseException | None]


def fan_out(work: Sequence[Callable[[], T]], *, limit: int, on_interrupt: Callable[[], None]) -> list[T]:
    """Return the results of all calls, in their order; at most `limit` run at a time.

    After all have ended, the first exception is raised. On Ctrl-C no further call begins, `on_interrupt` ends the
    waits of those that run, and KeyboardInterrupt is raised once they have ended, or after GRACE at the latest.
    """
    waiting: SimpleQueue[tuple[int, Callable[[], T]]] = SimpleQueue()
    ended: SimpleQueue[_Done[T]] = SimpleQueue()
    for item in enumerate(work):
        waiting.put(item)
    # No ThreadPoolExecutor: Python waits for its threads at exit, and one of them may hang on a dead host.
    threads = [
        threading.Thread(target=_serve, args=(waiting, ended), daemon=True) for _ in range(min(limit, len(work)))
    ]
    for thread in threads:
        thread.start()
    try:
        outcomes = sorted((ended.get() for _ in work), key=lambda outcome: outcome[0])
    except KeyboardInterrupt:
        _drain(waiting)
        on_interrupt()
        end = time.monotonic() + GRACE
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
        raise
    return [_value(outcome) for outcome in outcomes]


def _serve(waiting: SimpleQueue[tuple[int, Callable[[], T]]], ended: SimpleQueue[_Done[T]]) -> None:
    with suppress(Empty):
        while True:
            index, call = waiting.get_nowait()
            try:
                ended.put((index, call(), None))
            except BaseException as error:  # handed to the main thread, which raises it
                ended.put((index, None, error))


def _drain(waiting: SimpleQueue[tuple[int, Callable[[], T]]]) -> None:
    with suppress(Empty):
        while True:
            waiting.get_nowait()


def _value(outcome: _Done[T]) -> T:
    _, value, error = outcome
    if error is not None:
        raise error
    return value  # type: ignore[return-value]  # None is a result too

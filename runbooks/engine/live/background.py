"""Background work: a daemon thread that neither the run nor process exit waits for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
DRAIN_SECONDS = 2.0  # seconds at the end for the remaining items
INTERRUPTED_SECONDS = 0.2  # the same if the operator interrupted the night


@contextmanager
def in_background(name: str, work: Callable[[Sequence[T]], None]) -> Iterator[Callable[[T], None]]:
    """Yield a function that queues an item and returns at once; `work` is called with all items queued meanwhile.

    Items that are not done soon after the block are dropped.
    """
    waiting: SimpleQueue[tuple[T, ...]] = SimpleQueue()  # an empty tuple ends the thread
    thread = threading.Thread(target=_serve, args=(waiting, work), name=name, daemon=True)
    thread.start()
    patience = DRAIN_SECONDS
    try:
        yield lambda item: waiting.put((item,))
    except KeyboardInterrupt:
        patience = INTERRUPTED_SECONDS
        raise
    finally:
        waiting.put(())
        thread.join(patience)


@contextmanager
def repeated(name: str, work: Callable[[], None], pause: float, *, first: float = 0.0) -> Iterator[None]:
    """Call `work` after the first pause and each later one, in seconds, while the block runs.

    A call that is under way when the block ends is not awaited.
    """
    over = threading.Event()

    def serve() -> None:
        due = over.wait(first)
        while not due:
            work()
            due = over.wait(pause)

    threading.Thread(target=serve, name=name, daemon=True).start()
    try:
        yield
    finally:
        over.set()


def _serve(waiting: SimpleQueue[tuple[T, ...]], work: Callable[[Sequence[T]], None]) -> None:
    while items := waiting.get():
        batch, ended = [*items], False
        while not (ended or waiting.empty()):
            more = waiting.get()
            batch += more
            ended = not more
        work(batch)
        if ended:
            return

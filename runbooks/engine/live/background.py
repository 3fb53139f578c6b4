"""Work beside a night, which never waits for it: in a thread that the end of the process does not wait for either."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from queue import SimpleQueue
from typing import TypeVar

T = TypeVar("T")
DRAIN_SECONDS = 2.0  # seconds at the end for what is still to be done
INTERRUPTED_SECONDS = 0.2  # the same where the operator interrupted the night


@contextmanager
def in_background(name: str, work: Callable[[Sequence[T]], None]) -> Iterator[Callable[[T], None]]:
    """Yields what takes an item and is back at once; `work` is called with all items that have come meanwhile.

    What is not done soon after the block is dropped.
    """
    waiting: SimpleQueue[tuple[T, ...]] = SimpleQueue()  # an empty tuple is the end
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

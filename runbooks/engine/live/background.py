"""Background work: a daemon thread that neither the run nor process exit waits for."""

from __future__ import annotations

import threading
from _thread import start_new_thread
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar
from weakref import finalize

T = TypeVar("T")
DRAIN_SECONDS = 2.0  # seconds at the end for the remaining items
INTERRUPTED_SECONDS = 0.2  # the same if the operator interrupted the night


@dataclass(frozen=True)
class Ended(Generic[T]):
    """The value that a call returned, or the error that it raised."""

    value: T | None = None
    error: BaseException | None = None

    def result(self) -> T:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return self.value  # type: ignore[return-value]  # None is a value too


def ended(call: Callable[[], T]) -> Ended[T]:
    """Make a call, and return how it ended."""
    try:
        return Ended(call())
    except BaseException as error:  # handed to the thread that waits, which raises it
        return Ended(error=error)


def begin(work: Callable[..., None], *words: object) -> None:
    """Begin work in a thread that nothing waits for, neither here nor when the process ends.

    Not by `Thread.start`, which waits on a condition: where Ctrl-C tears that wait apart, Python raises RuntimeError.
    """
    start_new_thread(work, words)


def begun(call: Callable[[], T]) -> SimpleQueue[Ended[T]]:
    """Make a call in a thread, and return the queue that gets how it ended: Ctrl-C may end the wait, not the call."""
    answer: SimpleQueue[Ended[T]] = SimpleQueue()
    begin(lambda: answer.put(ended(call)))
    return answer


class Turns:
    """Calls that a thread makes one after the other, in their order: Ctrl-C ends the wait for one, never the call."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()  # None ends the thread
        begin(_take_turns, self._waiting)
        finalize(self, self._waiting.put, None)

    def result_of(self, call: Callable[[], T]) -> T:
        """Return the result of a call, once all that were queued before it have ended."""
        answer: SimpleQueue[Ended[T]] = SimpleQueue()
        self._waiting.put(lambda: answer.put(ended(call)))
        return answer.get().result()


def _take_turns(waiting: SimpleQueue[Callable[[], None] | None]) -> None:
    while turn := waiting.get():
        turn()
        del turn  # it holds what would otherwise end this thread


@contextmanager
def in_background(work: Callable[[Sequence[T]], None]) -> Iterator[Callable[[T], None]]:
    """Yield a function that queues an item and returns at once; `work` is called with all items queued meanwhile.

    Items that are not done soon after the block are dropped.
    """
    waiting: SimpleQueue[tuple[T, ...]] = SimpleQueue()  # an empty tuple ends the thread
    served = begun(lambda: _serve(waiting, work))
    patience = DRAIN_SECONDS
    try:
        yield lambda item: waiting.put((item,))
    except KeyboardInterrupt:
        patience = INTERRUPTED_SECONDS
        raise
    finally:
        waiting.put(())
        with suppress(Empty):
            served.get(timeout=patience)


@contextmanager
def repeated(work: Callable[[], None], pause: float, *, first: float = 0.0) -> Iterator[None]:
    """Call `work` after the first pause and each later one, in seconds, while the block runs.

    A call that is under way when the block ends is not awaited.
    """
    over = threading.Event()

    def serve() -> None:
        due = over.wait(first)
        while not due:
            work()
            due = over.wait(pause)

    begin(serve)
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

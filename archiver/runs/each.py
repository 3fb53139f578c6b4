"""The one loop over items of which any may fail: it is reported, and the others go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar, cast

from archiver.postgres.databases import Databases
from archiver.postgres.session import DatabaseError
from errors import CutoverError

Item = TypeVar("Item")
Detail = TypeVar("Detail")
Stops = Callable[[CutoverError], bool]


@dataclass(frozen=True, kw_only=True)
class Done(Generic[Detail]):
    """The result of the work on an item that did not fail."""

    detail: Detail  # what only this kind of work says
    rows: int = 0
    size: int = 0  # bytes
    error: CutoverError | None = None  # of a part of the item; the rest of it is done


@dataclass(frozen=True, kw_only=True)
class Outcome(Generic[Item, Detail]):
    """The outcome for one item: a tenant's id, a record, a shard, a table."""

    item: Item
    seconds: float
    rows: int = 0
    size: int = 0  # bytes
    detail: Detail | None = None  # what only this kind of work says; None if it failed
    error: CutoverError | None = None

    def result(self) -> Detail:
        """Return the detail; raise the error if the item failed."""
        if self.error:
            raise self.error
        return cast(Detail, self.detail)  # which may be None where the work has nothing to say


def for_each(
    items: Iterable[Item],
    work: Callable[[Item], Done[Detail]],
    on_result: Callable[[Outcome[Item, Detail]], None],
    *,
    databases: Databases | None = None,
    stops: Stops = lambda error: False,
) -> list[Outcome[Item, Detail]]:
    """Work on the items in turn and return their outcomes; `on_result` is called with each as it ends.

    An item whose work raises CutoverError has failed, and the next one begins; schemas of `databases` are then read
    again. Raises the error instead if it `stops` the run.
    """
    outcomes = []
    for item in items:
        outcomes.append(attempt(item, work, databases=databases, stops=stops))
        on_result(outcomes[-1])
    return outcomes


def attempt(
    item: Item,
    work: Callable[[Item], Done[Detail]],
    *,
    databases: Databases | None = None,
    stops: Stops = lambda error: False,
) -> Outcome[Item, Detail]:
    """Work on one item and return its outcome; raise the error that `stops` the run."""
    began = time.monotonic()
    try:
        done = work(item)
    except CutoverError as error:
        if stops(error):
            raise
        if databases is not None:
            databases.forget_schemas()  # a migration may be what went wrong
        return Outcome(item=item, seconds=time.monotonic() - began, error=error)
    return Outcome(
        item=item,
        seconds=time.monotonic() - began,
        rows=done.rows,
        size=done.size,
        detail=done.detail,
        error=done.error,
    )


def connection_lost(error: CutoverError) -> bool:
    """Return True if the error ended the connection: no other item can be worked on with it."""
    return isinstance(error, DatabaseError) and error.lost


@dataclass(frozen=True, kw_only=True)
class Together(Generic[Item, Detail]):
    """The outcomes of items that are worked on together, each of which may fail on its own."""

    on_result: Callable[[Outcome[Item, Detail]], None] = lambda outcome: None
    outcomes: list[Outcome[Item, Detail]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def end(self, outcome: Outcome[Item, Detail]) -> None:
        """Report the outcome of an item."""
        self.outcomes.append(outcome)
        self.on_result(outcome)

    def fail(self, item: Item, error: CutoverError) -> None:
        """Report that an item failed and stays as it is."""
        self.end(Outcome(item=item, seconds=time.monotonic() - self.began, error=error))

    @contextmanager
    def skip_on_error(self, item: Item) -> Iterator[None]:
        """If the block fails, report this item as failed; the block's caller goes on with the others."""
        try:
            yield
        except CutoverError as error:
            self.fail(item, error)

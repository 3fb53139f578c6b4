"""The board of a step: the state of each host while it is at work, as rows for the console."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from formatting import clock_span
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.ports import Clock

NEWS_EVERY = 10.0  # seconds between two lines of progress of a host, without a terminal


@dataclass(frozen=True)
class OutcomeStyle:
    """The appearance of an outcome: a word and a style, never color alone."""

    word: str
    style: str


@dataclass(frozen=True, kw_only=True)
class BoardRow:
    """A host as displayed."""

    style: OutcomeStyle
    host: str  # padded to the width of its column
    sentence: str
    time: str  # empty below one second


@dataclass
class _HostState:
    outcome: Outcome = Outcome.PENDING
    sentence: str = ""
    since: float = 0.0
    spent: float | None = None  # seconds; set when it has ended
    printed: float | None = None  # when a line of progress was last printed


class StepBoard:
    """The hosts of a step; workers write to it from their threads, one host each."""

    def __init__(
        self,
        hosts: Sequence[str],
        width: int,
        clock: Clock,
        styles: Mapping[Outcome, OutcomeStyle],
        clean: Callable[[str], str],
    ) -> None:
        self._states = {host: _HostState(since=clock.ticks()) for host in hosts}
        self._clock = clock
        self._styles = styles
        self._width = width
        self._clean = clean
        self.print_row: Callable[[BoardRow], None] | None = None  # set if no live table displays the rows

    def show(self, host: str, outcome: Outcome, sentence: str) -> None:
        """Display a host's new state."""
        state = self._states[host]
        state.outcome, state.sentence = outcome, self._clean(sentence).strip()
        if outcome not in (Outcome.PENDING, Outcome.RUNNING):
            state.spent = self._clock.ticks() - state.since
        if self.print_row and self._worth_a_line(state):
            state.printed = self._clock.ticks()
            self.print_row(self._row(host, state))

    def rows(self) -> list[BoardRow]:
        """Return all hosts as they are now."""
        return [self._row(host, state) for host, state in self._states.items()]

    def ended(self) -> list[BoardRow]:
        """Return the last state of each host that was worked on."""
        return [self._row(host, state) for host, state in self._states.items() if state.outcome is not Outcome.PENDING]

    def _row(self, host: str, state: _HostState) -> BoardRow:
        spent = state.spent if state.spent is not None else self._clock.ticks() - state.since
        return BoardRow(
            style=self._styles[state.outcome],
            host=f"{host:<{self._width}}",
            sentence=state.sentence,
            time=clock_span(timedelta(seconds=spent)) if spent >= 1 else "",
        )

    def _worth_a_line(self, state: _HostState) -> bool:
        if state.outcome is Outcome.RUNNING:
            return state.printed is None or self._clock.ticks() - state.printed >= NEWS_EVERY
        return state.outcome is not Outcome.PENDING

"""A run's figures as tables, in Markdown and on the terminal. Pure except for `show`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.markdown import Markdown

from bench.goals import GOALS, MIB, Results, Target
from bench.measured import Measured

Row = Sequence[str]
NONE = "-"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A title, column names and rows; the first column is text, the others are right-aligned."""

    title: str
    columns: Row
    rows: Sequence[Row]

    def markdown(self) -> str:
        """Return the table as Markdown."""
        ruler = ["---", *("---:" for _ in self.columns[1:])]
        lines = (_line(row) for row in (self.columns, ruler, *self.rows))
        return f"## {self.title}\n\n" + "\n".join(lines) + "\n"


def document(title: str, facts: Mapping[str, str], tables: Iterable[Table], remarks: Iterable[str] = ()) -> str:
    """Return a complete report as Markdown."""
    about = "\n".join(f"- {name}: {value}" for name, value in facts.items())
    parts = [f"# {title}\n", f"{about}\n", *(table.markdown() for table in tables)]
    notes = "\n".join(f"- {remark}" for remark in remarks)
    return "\n".join([*parts, *([f"{notes}\n"] if notes else [])])


def ratios(results: Results, scale: str) -> Table:
    """Return the table of goals, each with its figure and verdict."""
    return judged([(goal.what, goal.value(results), goal.target) for goal in GOALS], scale)


def judged(figures: Iterable[tuple[str, float | None, Target]], scale: str) -> Table:
    """Return the table of figures with their targets."""
    rows = [_judged(what, value, target, scale) for what, value, target in figures]
    return Table(title="Ratios", columns=("what", "figure", "goal", "beyond", "verdict"), rows=rows)


def costs(results: Results) -> Table:
    """Return the table of every subject's cost."""
    columns = ("subject", "wall s", "client CPU s", "server CPU s", "peak MiB", "WAL MiB")
    return Table(title="Costs", columns=columns, rows=[_cost(name, measured) for name, measured in results.items()])


def remarks(results: Iterable[tuple[str, Measured]]) -> list[str]:
    """Return remarks on how subjects were measured, and why others were not."""
    texts = {name: f"not measured: {measured.error}" if measured.error else measured.note for name, measured in results}
    return [f"{name}: {text}" for name, text in texts.items() if text]


def number(value: float) -> str:
    """Return a number with three significant digits."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.3g}"


def show(text: str) -> None:
    """Print a report."""
    Console().print(Markdown(text))


def _judged(what: str, value: float | None, target: Target, scale: str) -> Row:
    counts = value is None or target.scale in ("", scale)
    verdict = target.verdict(value).value if counts else f"counts at {target.scale}"
    sign = "≥" if target.more_is_better else "≤"
    limits = (f"{sign} {number(limit)} {target.unit}".strip() for limit in (target.goal, target.beyond))
    return what, NONE if value is None else f"{number(value)} {target.unit}".strip(), *limits, verdict


def _cost(name: str, measured: Measured) -> Row:
    if measured.error:
        return name, *[NONE] * 5
    return (
        name,
        number(measured.seconds),
        number(measured.cpu),
        number(measured.server_cpu),
        f"{measured.peak / MIB:.0f}",
        f"{measured.wal / MIB:.0f}",
    )


def _line(cells: Row) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

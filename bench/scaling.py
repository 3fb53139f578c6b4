"""`python -m bench.scaling`: what the whole year costs at several scales, and with how many workers."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from fractions import Fraction

from bench import machine, report
from bench.__main__ import ended, say, write
from bench.engines import ENGINES, Engine
from bench.exponent import exponent
from bench.goals import EXPONENT, MIB, SAME_MEMORY
from bench.measured import Measured
from bench.report import NONE, Table, number
from bench.run import prepared
from bench.year.size import parse_scale

COLUMNS = ("rows", "wall s", "client CPU s", "server CPU s", "peak MiB")


def main() -> None:
    """The first engine at every scale, the others at the largest."""
    options = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    options.add_argument("--scales", default="1/100,1/30,1/10", help="smallest first")
    scales = [parse_scale(text) for text in options.parse_args().scales.split(",")]
    by_scale = {str(scale): _year(scale, ENGINES[0]) for scale in scales}
    others = {str(engine): _year(scales[-1], engine) for engine in ENGINES[1:]}
    largest = str(scales[-1])
    write("scaling", _report(by_scale, {str(ENGINES[0]): by_scale[largest], **others}, largest))


def figures(by_scale: Sequence[Measured]) -> tuple[float | None, float | None]:
    """The exponent of time against rows, and the largest run's memory over the one before; none below two runs."""
    good = [one for one in by_scale if not one.error]
    if len(good) < 2:
        return None, None
    return exponent([(one.figures["rows"], one.seconds) for one in good]), good[-1].peak / good[-2].peak


def _year(scale: Fraction, engine: Engine) -> Measured:
    with prepared(scale, say) as run, run.testbed() as ground:
        return run.measure(f"{engine} at {scale}", engine.act, ground)


def _report(by_scale: Mapping[str, Measured], by_engine: Mapping[str, Measured], largest: str) -> str:
    slope, memory = figures(list(by_scale.values()))
    judged = (
        ("time against rows: exponent", slope, EXPONENT),
        ("peak memory, largest scale ÷ the one before", memory, SAME_MEMORY),
    )
    tables = (report.judged(judged, largest), _table("scale", by_scale), _table("engine", by_engine))
    remarks = report.remarks([*by_scale.items(), *by_engine.items()])
    return report.document("How the whole year grows", machine.facts(), tables, dict.fromkeys(remarks))


def _table(what: str, measured: Mapping[str, Measured]) -> Table:
    rows = [_row(name, one) for name, one in measured.items()]
    return Table(title=f"By {what}", columns=(what, *COLUMNS), rows=rows)


def _row(name: str, one: Measured) -> Sequence[str]:
    if one.error:
        return name, *[NONE] * len(COLUMNS)
    rows, peak = one.figures["rows"], one.peak / MIB
    return name, f"{rows:,.0f}", number(one.seconds), number(one.cpu), number(one.server_cpu), f"{peak:.0f}"


if __name__ == "__main__":
    sys.exit(ended(main))

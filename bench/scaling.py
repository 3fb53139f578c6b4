"""`python -m bench.scaling`: the cost of a complete year at several scales, and with several engines."""

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
    """Measure the first engine at every scale, the others at the largest, and write the report."""
    options = argparse.ArgumentParser(prog="python -m bench.scaling", description=__doc__)
    options.add_argument("--scales", default="1/100,1/30,1/10", help="smallest first")
    scales = [parse_scale(text) for text in options.parse_args().scales.split(",")]
    by_scale = {str(scale): _year(scale, ENGINES[0]) for scale in scales}
    others = {str(engine): _year(scales[-1], engine) for engine in ENGINES[1:]}
    largest = str(scales[-1])
    write("scaling", _report(by_scale, {str(ENGINES[0]): by_scale[largest], **others}, largest))


def figures(by_scale: Sequence[Measured]) -> tuple[float | None, float | None]:
    """Return the exponent of time against rows, and the ratio of the two largest runs' memory; None below two runs."""
    runs = [run for run in by_scale if not run.error]
    if len(runs) < 2:
        return None, None
    return exponent([(run.figures["rows"], run.seconds) for run in runs]), runs[-1].peak / runs[-2].peak


def _year(scale: Fraction, engine: Engine) -> Measured:
    with prepared(scale, say) as run, run.testbed() as testbed:
        return run.measure(f"{engine} at {scale}", engine.act, testbed)


def _report(by_scale: Mapping[str, Measured], by_engine: Mapping[str, Measured], largest: str) -> str:
    slope, memory = figures(list(by_scale.values()))
    judged = (
        ("time against rows: exponent", slope, EXPONENT),
        ("peak memory, largest scale ÷ the one before", memory, SAME_MEMORY),
    )
    tables = (report.judged(judged, largest), _table("scale", by_scale), _table("engine", by_engine))
    remarks = report.remarks([*by_scale.items(), *by_engine.items()])
    return report.document("Growth of a complete year", machine.facts(), tables, dict.fromkeys(remarks))


def _table(what: str, measured: Mapping[str, Measured]) -> Table:
    rows = [_row(name, run) for name, run in measured.items()]
    return Table(title=f"By {what}", columns=(what, *COLUMNS), rows=rows)


def _row(name: str, measured: Measured) -> Sequence[str]:
    if measured.error:
        return name, *[NONE] * len(COLUMNS)
    rows, peak = measured.figures["rows"], measured.peak / MIB
    return (
        name,
        f"{rows:,.0f}",
        number(measured.seconds),
        number(measured.cpu),
        number(measured.server_cpu),
        f"{peak:.0f}",
    )


if __name__ == "__main__":
    sys.exit(ended(main))

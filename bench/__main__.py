"""`python -m bench`: a run at a scale; writes its tables to the terminal and as Markdown to bench/results."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import machine, report
from bench.places import RESULTS
from bench.run import measure_all, prepared
from bench.year.size import parse_scale
from errors import CutoverError, ExitCode

COLD = (
    "Warm: a copy just written, so in the system's cache. "
    "Cold: server restarted, its files dropped from that cache by posix_fadvise."
)


def main() -> None:
    """Measure every selected subject, write the report and show it."""
    options = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    options.add_argument("--scale", default="1/10", help="a part of the year: 1/100, 1/10, 1/1")
    options.add_argument("--only", default="", help="subjects that have this word in their name")
    words = options.parse_args()
    scale = parse_scale(words.scale)
    with prepared(scale, say) as run:
        results = measure_all(run, lambda subject: words.only in subject)
        facts = {"scale": f"{scale} ({run.size.schools} schools)", **machine.facts()}
    tables = (report.ratios(results, str(scale)), report.costs(results))
    remarks = [COLD, *report.remarks(results.items())]
    write(str(scale).replace("/", "-"), report.document(f"The bench at {scale}", facts, tables, remarks))


def ended(body: Callable[[], None]) -> int:
    """Run a command; return its exit code as in the README's table. A missed goal is not a failure."""
    try:
        body()
    except CutoverError as error:
        say(f"{error}\n{error.hint}".strip())
        return error.exit_code
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return ExitCode.DONE


def write(name: str, text: str) -> None:
    """Write a report to bench/results and show it."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{name}.md").write_text(text, encoding="utf-8")
    report.show(text)


def say(line: str) -> None:
    """Print progress to standard error; standard output is for the report."""
    sys.stderr.write(line + "\n")


if __name__ == "__main__":
    sys.exit(ended(main))

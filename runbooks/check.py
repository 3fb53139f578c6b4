"""What is doubtful in the live rows: the tasks under `inv check.…`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from invoke.collection import Collection
from invoke.context import Context
from invoke.exceptions import Exit

from archiver.checks.integrity import check_integrity
from archiver.checks.integrity_finding import IntegrityFinding, refused
from archiver.runs.setup import databases_of
from errors import ExitCode
from runbooks.cli.task import ENV, load_environment, task
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say


@task(help={"env": ENV, "json": "one line of JSON"})
def integrity(context: Context, env: str = "", json: bool = False) -> None:
    """Count rows that are shared, doubtful or lost, with some of their keys; fails where the archiver refuses some."""
    with databases_of(load_environment(env, read_only=True), "check.integrity") as databases:
        found = check_integrity(databases)
    wrong = refused(found)
    if json:
        say(to_json({"findings": [finding.to_json() for finding in found], "refused": len(wrong)}))
    else:
        say("\n".join(lines(found)))
    if wrong:
        raise Exit(code=ExitCode.FAILED)


def lines(found: Sequence[IntegrityFinding]) -> Iterator[str]:
    """The findings, a line each, those last that the archiver refuses."""
    if not found:
        yield "Nothing is shared, doubtful or lost."
    for finding in sorted(found, key=lambda finding: bool(finding.refused)):
        more = ", …" if finding.rows > len(finding.examples) else ""
        line = f"{finding.database} {finding.table.table}: {finding.rows:,} {finding.what}: "
        line += ", ".join(finding.examples) + more
        yield line + (f"; REFUSED: {finding.refused}" if finding.refused else "")
    if found and not refused(found):
        yield "The archiver refuses none of these rows."


namespace = Collection("check", integrity)

"""Doubtful rows of the live databases: the tasks under `inv check.…`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from invoke.collection import Collection
from invoke.exceptions import Exit

from archiver.checks.integrity import check_integrity
from archiver.checks.integrity_finding import IntegrityFinding, refused
from archiver.runs.setup import databases_of
from errors import ExitCode
from inventory.model import Environment
from runbooks.cli.options import JSON, READS
from runbooks.cli.task import task
from runbooks.cli.text.archives import to_json
from runbooks.engine.live.console import say


@task("check.integrity", *READS, JSON)
def integrity(environment: Environment, json: bool) -> None:
    """Count rows that are shared, doubtful or lost, with some of their keys; fails if the archiver refuses some."""
    with databases_of(environment, "check.integrity") as databases:
        findings = check_integrity(databases)
    wrong = refused(findings)
    if json:
        say(to_json({"findings": [finding.to_json() for finding in findings], "refused": len(wrong)}))
    else:
        say("\n".join(lines(findings)))
    if wrong:
        raise Exit(code=ExitCode.FAILED)


def lines(findings: Sequence[IntegrityFinding]) -> Iterator[str]:
    """Yield the findings, a line each; those that the archiver refuses come last."""
    if not findings:
        yield "Nothing is shared, doubtful or lost."
    for finding in sorted(findings, key=lambda finding: bool(finding.refused)):
        more = ", …" if finding.rows > len(finding.examples) else ""
        line = f"{finding.database} {finding.table.table}: {finding.rows:,} {finding.what}: "
        line += ", ".join(finding.examples) + more
        yield line + (f"; REFUSED: {finding.refused}" if finding.refused else "")
    if findings and not refused(findings):
        yield "The archiver refuses none of these rows."


namespace = Collection("check", integrity)

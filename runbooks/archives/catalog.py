"""The catalog of tables and the archives' schemas: tasks under `inv archive.…` that compare them with live tables."""

from __future__ import annotations

from collections.abc import Iterator

from invoke.exceptions import Exit

from archiver.catalog.model import MASTER
from archiver.checks.stored_schemas import check_stored as check_stored_schemas
from archiver.completeness import completeness
from archiver.completeness.draft import draft
from archiver.completeness.draft_yaml import draft_text
from archiver.completeness.problems import refuse
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import parse_dsn
from archiver.runs.setup import databases_of, read_database, read_environment, scratch, spool_folder
from archiver.store.bucket import Bucket
from archiver.store.schemas import StoredSchemas
from archiver.verify.makeable import prove_makeable
from archiver.verify.scratch import ScratchDatabase
from errors import ExitCode, UsageError
from formatting import with_article
from inventory.load import with_catalog_lines
from inventory.model import Environment
from runbooks.cli.call import Call
from runbooks.cli.options import ENV, READS, Option
from runbooks.cli.task import task
from runbooks.cli.text import archives
from runbooks.engine.live.console import say


def _parse_root(text: str, label: str) -> str:
    if not text:
        raise UsageError(
            f"{label}: expected the table with one row for each tenant.", hint=f"Example: {label}=companies"
        )
    return text


ROOT = Option(
    name="root", help="the table of master that has one row for each tenant", parse=_parse_root, required=True
)
DSN = Option(
    name="dsn", help="instead of an environment: a product's one database, such as service=shop, without a password"
)


@task("archive.check-catalog", *READS)
def check_catalog(environment: Environment) -> None:
    """Compare the catalog with every live database: a table that it does not know prevents every deletion."""
    for line in compared(environment):
        say(line)


def compared(environment: Environment) -> Iterator[str]:
    """Yield what the catalog means in the live databases, at last that it is complete; Problems with all it lacks."""
    purpose = "archive.check-catalog"
    with databases_of(environment, purpose) as databases, scratch(environment, purpose) as verifying:
        comparison = completeness.compare(databases)
        for name, rule in databases.model.catalog.depths.items():
            yield f"depth {name}: {rule.sentence}"
        for scan in comparison.scans:
            yield archives.scan_line(databases.model.tenant.noun, scan)
        refuse(with_catalog_lines(environment.catalog, comparison.problems))
        prove_makeable(databases, ScratchDatabase(verifying))
        yield f"The catalog knows all that can reference rows of {with_article(databases.model.tenant.noun)}."


def _refuse_two_sources(env: str, dsn: str) -> None:
    if dsn and env:
        raise UsageError("--dsn and --env: expected one of them.")


@task(
    "archive.catalog-draft",
    *(ROOT, ENV, DSN),
    example="--root=companies",
    before=_refuse_two_sources,
)
def catalog_draft(call: Call, root: str, dsn: str) -> None:
    """Write a first catalog of tables for any product, from the tables of its databases."""
    schemas = {MASTER: read_database(parse_dsn(dsn))} if dsn else read_environment(call.environment)
    say(draft_text(draft(schemas, root)).rstrip())


@task("archive.check-stored", *READS)
def check_stored(environment: Environment) -> None:
    """Compare every archive's schema with today's tables: does a migration keep an archive from being restored?"""
    with databases_of(environment, "archive.check-stored") as databases, work_folder(spool_folder()) as work:
        schemas = check_stored_schemas(databases, StoredSchemas(Bucket(environment.store)), work)
    for line in archives.checked_lines(schemas):
        say(line)
    if any(checked.problems or checked.doubts for checked in schemas):
        raise Exit(code=ExitCode.FAILED)


tasks = (check_catalog, catalog_draft, check_stored)

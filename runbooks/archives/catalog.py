"""The catalog of tables and the archives' schemas: tasks under `inv archive.…` that hold them against live tables."""

from __future__ import annotations

from invoke.context import Context
from invoke.exceptions import Exit

from archiver.catalog.model import MASTER
from archiver.checks.stored_schemas import check_stored as check_stored_schemas
from archiver.completeness import completeness
from archiver.completeness.draft import draft
from archiver.completeness.draft_yaml import draft_text
from archiver.format.spool_folder import work_folder
from archiver.postgres.session import parse_dsn
from archiver.runs.setup import databases_of, read_database, read_environment, spool_folder
from archiver.store.bucket import Bucket
from archiver.store.schemas import StoredSchemas
from errors import ExitCode, UsageError
from runbooks.cli.task import ENV, load_environment, task
from runbooks.cli.text import archives
from runbooks.engine.live.console import say


@task(name="check-catalog", help={"env": ENV})
def check_catalog(context: Context, env: str = "") -> None:
    """Hold the catalog of tables against every live database: what it does not know stops any deletion."""
    with databases_of(load_environment(env, read_only=True), "archive.check-catalog") as databases:
        found = completeness.compare(databases)
        for scan in found.scans:
            say(archives.scan_line(databases.model.tenant.noun, scan))
        completeness.refuse(found)
        say(f"The catalog knows all that can point at a {databases.model.tenant.noun}'s rows.")


@task(
    name="catalog-draft",
    help={
        "root": "the table of master that has one row for each tenant",
        "env": ENV,
        "dsn": "instead of an environment: a product's one database, such as service=shop, and no password in it",
    },
)
def catalog_draft(context: Context, root: str = "", env: str = "", dsn: str = "") -> None:
    """Write a first catalog of tables for any product, from what its databases say of their tables."""
    if not root:
        raise UsageError("--root: expected the table with one row for each tenant.", hint="Example: --root=companies")
    if dsn and env:
        raise UsageError("--dsn and --env: expected one of them.")
    lives = {MASTER: read_database(parse_dsn(dsn))} if dsn else read_environment(load_environment(env, read_only=True))
    say(draft_text(draft(lives, root)).rstrip())


@task(name="check-stored", help={"env": ENV})
def check_stored(context: Context, env: str = "") -> None:
    """Hold every archive's schema against today's tables: does a migration keep one from coming back?"""
    environment = load_environment(env, read_only=True)
    with databases_of(environment, "archive.check-stored") as databases, work_folder(spool_folder()) as work:
        found = check_stored_schemas(databases, StoredSchemas(Bucket(environment.store)), work)
    for line in archives.checked_lines(found):
        say(line)
    if any(checked.problems or checked.doubts for checked in found):
        raise Exit(code=ExitCode.FAILED)


tasks = (check_catalog, catalog_draft, check_stored)

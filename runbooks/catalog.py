"""The catalog of tables: tasks under `inv archive.…` that draft it, and hold it against the live databases."""

from __future__ import annotations

from invoke.context import Context

from archiver import completeness
from archiver.catalog import MASTER
from archiver.draft import draft
from archiver.draft_text import draft_text
from archiver.postgres import parse_dsn
from archiver.setup import read_database, read_environment, workplace
from errors import UsageError
from runbooks import telling
from runbooks.engine.console import say
from runbooks.front import ENV, load_environment, task


@task(name="check-catalog", help={"env": ENV})
def check_catalog(context: Context, env: str = "") -> None:
    """Hold the catalog of tables against every live database: what it does not know stops any deletion."""
    with workplace(load_environment(env, read_only=True), "archive.check-catalog") as place:
        found = completeness.compare(place)
        for scan in found.scans:
            say(telling.scan_line(place.model.tenant.noun, scan))
        completeness.refuse(found)
        say(f"The catalog knows all that can point at a {place.model.tenant.noun}'s rows.")


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


tasks = (check_catalog, catalog_draft)

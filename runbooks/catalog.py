"""The catalog of tables: tasks under `inv archive.…` that hold it against the live databases."""

from __future__ import annotations

from invoke.context import Context

from archiver import completeness
from archiver.setup import workplace
from runbooks.engine.console import say
from runbooks.front import ENV, load_environment, task


@task(name="check-catalog", help={"env": ENV})
def check_catalog(context: Context, env: str = "") -> None:
    """Hold the catalog of tables against every live database: what it does not know stops any deletion."""
    with workplace(load_environment(env, read_only=True), "archive.check-catalog") as place:
        found = completeness.compare(place)
        for warning in found.warnings:
            say(f"warning: {warning}")
        completeness.refuse(found)
        say(f"The catalog knows all that can point at a {place.model.tenant.noun}'s rows.")


tasks = (check_catalog,)

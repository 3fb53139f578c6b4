"""A drafted catalog as the YAML that a person goes on with; pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from archiver.catalog.model import TableName
from archiver.completeness.draft import Draft
from archiver.completeness.edges import Edge
from inventory.catalog import Table

PLAIN = re.compile(r"[A-Za-z_][\w =.;'-]*(?<! )", re.ASCII)  # what YAML reads as it stands
SPOKEN_FOR = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # and reads as something else than text
BY_NAME = "  # by its name, no foreign key"


def draft_text(draft: Draft) -> str:
    """The draft as a file beside the inventory."""
    return "\n".join([*_head(draft), *_tenant(draft), *_databases(draft), *_depths(draft), *_excluded(draft)]) + "\n"


def _head(draft: Draft) -> Iterator[str]:
    noun = draft.catalog.tenant.noun
    yield f"# Which tables belong to a {noun}, and how its rows are found: a first draft, from what the databases say."
    yield "#"
    yield "# found_by   column = table.column: a row belongs to the tenant when the other row does."
    yield "# ignored    a column, or a value of a type column, that looks as if it led to a tenant's rows."
    yield "# excluded   tables that stay live."
    yield "#"
    yield "# To go on: read it line by line, and look first where no foreign key says what a name says. A table that is"
    yield "# excluded and yet the tenant's moves to databases, with the found_by beside it. Then run inv"
    yield "# archive.check-catalog until it is content: it tells what is left for a person to decide, such as a trigger"
    yield "# that fires or a foreign key that deletes, and what each of your changes leads to."
    yield "# Not drafted: needed_by (whose rows elsewhere keep one alive), tenant/customer, and the depth students."


def _tenant(draft: Draft) -> Iterator[str]:
    tenant = draft.catalog.tenant
    yield "tenant:"
    for key in ("noun", "table", "key", "title", "shard"):
        if value := getattr(tenant, key):
            yield f"  {key}: {_scalar(value)}"


def _databases(draft: Draft) -> Iterator[str]:
    yield from ("", "databases:")
    for database, tables in draft.catalog.databases.items():
        yield f"  {database}:"
        for name, table in tables.items():
            yield f"    {_scalar(name)}:"
            yield from _table(table, draft.found[TableName(database, name)])


def _table(table: Table, found: Iterable[Edge]) -> Iterator[str]:
    yield f"      group: {_scalar(table.group)}"
    if table.found_by:
        yield "      found_by:"
    for edge in found:
        yield f"        - {_scalar(edge.link.text)}{BY_NAME if edge.by_name else ''}"
    if table.ignored:
        yield "      ignored:"
    for name, reason in table.ignored.items():
        yield f"        {_scalar(name)}: {_scalar(reason)}"


def _depths(draft: Draft) -> Iterator[str]:
    yield from ("", "depths:")
    for name, rule in draft.catalog.depths.items():
        yield f"  {name}: {{start: {_scalar(rule.start)}}}"


def _excluded(draft: Draft) -> Iterator[str]:
    if draft.catalog.excluded:
        yield from ("", "excluded:")
    for database, tables in draft.catalog.excluded.items():
        yield f"  {database}:"
        for name, reason in tables.items():
            yield f"    {_scalar(name)}: {_scalar(reason)}{_way(draft, TableName(database, name))}"


def _way(draft: Draft, table: TableName) -> str:
    links = ", ".join(_scalar(link.text) for link in draft.ways.get(table, ()))
    return f"  # found_by: [{links}]" if links else ""


def _scalar(text: str) -> str:
    """A text as YAML reads it back."""
    plain = PLAIN.fullmatch(text) and text.lower() not in SPOKEN_FOR
    return text if plain else json.dumps(text, ensure_ascii=False)

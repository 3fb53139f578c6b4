"""A drafted catalog as YAML for a person to continue. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator

from archiver.catalog.model import TableName
from archiver.completeness.draft import Draft
from archiver.completeness.edges import Edge
from formatting import with_article
from inventory.catalog import Table

PLAIN = re.compile(r"[A-Za-z_][\w =.;'-]*(?<! )", re.ASCII)  # needs no quotes in YAML
RESERVED = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}  # unquoted, YAML reads these as no text
BY_NAME = "  # by its name, no foreign key"


def draft_text(draft: Draft) -> str:
    """Return the text of a catalog file."""
    return "\n".join([*_head(draft), *_tenant(draft), *_databases(draft), *_depths(draft), *_excluded(draft)]) + "\n"


def _head(draft: Draft) -> Iterator[str]:
    noun = draft.catalog.tenant.noun
    belong = f"Which tables belong to {with_article(noun)}, and how its rows are found"
    yield f"# {belong}: a draft from the databases' own catalogues."
    yield "#"
    yield "# found_by   column = table.column: a row belongs to the tenant if the other row does."
    yield "# ignored    a column, or a value of a type column, that seems to lead to a tenant's rows but does not."
    yield "# excluded   tables that stay live."
    yield "#"
    yield "# To continue: read it line by line. Check first the links that only a name suggests, without a foreign key."
    yield "# If an excluded table belongs to the tenant, move it to databases, with the found_by shown beside it. Then"
    yield "# run inv archive.check-catalog until it reports nothing: it lists what is left to decide, such as a trigger"
    yield "# that fires or a foreign key that deletes, and the consequences of your changes."
    yield "# Not drafted: needed_by (rows elsewhere that keep a row alive), tenant/customer, and depths besides all."


def _tenant(draft: Draft) -> Iterator[str]:
    tenant = draft.catalog.tenant
    yield "tenant:"
    for key in ("noun", "table", "key", "title", "shard"):
        if value := getattr(tenant, key):
            yield f"  {key}: {_scalar(value) if isinstance(value, str) else _list(value)}"


def _databases(draft: Draft) -> Iterator[str]:
    yield from ("", "databases:")
    for database, tables in draft.catalog.databases.items():
        yield f"  {database}:"
        for name, table in tables.items():
            yield f"    {_scalar(name)}:"
            yield from _table(table, draft.edges[TableName(database, name)])


def _table(table: Table, edges: Iterable[Edge]) -> Iterator[str]:
    yield f"      group: {_scalar(table.group)}"
    if table.found_by:
        yield "      found_by:"
    for edge in edges:
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
            yield f"    {_scalar(name)}: {_scalar(reason)}{_found_by(draft, TableName(database, name))}"


def _found_by(draft: Draft, table: TableName) -> str:
    links = ", ".join(_scalar(link.text) for link in draft.excluded_links.get(table, ()))
    return f"  # found_by: [{links}]" if links else ""


def _list(texts: Iterable[str]) -> str:
    return f"[{', '.join(map(_scalar, texts))}]"


def _scalar(text: str) -> str:
    """Return a text quoted where YAML would read something else."""
    plain = PLAIN.fullmatch(text) and text.lower() not in RESERVED
    return text if plain else json.dumps(text, ensure_ascii=False)

"""The carried tables of which no archive could be verified: the scratch database cannot make or fill them."""

from __future__ import annotations

from collections.abc import Iterator

from archiver.postgres.databases import Databases
from archiver.postgres.schema import Schema
from archiver.verify.scratch import ScratchDatabase
from errors import Problems

# Types whose values are names of objects, which a scratch database does not have.
_NAMES = (
    *("regclass", "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper"),
    *("regoperator", "regproc", "regprocedure", "regrole", "regtype"),
)


def prove_makeable(databases: Databases, scratch: ScratchDatabase) -> None:
    """Raise Problems with every carried table of which no archive could be verified, before anything is read."""
    if lines := list(unmakeable(databases, scratch)):
        raise Problems(
            "The scratch database cannot hold rows of all carried tables; nothing is read or deleted:",
            lines,
            hint="inv archive.check-catalog shows the same. Where an extension is missing, create it there, too.",
        )


def unmakeable(databases: Databases, scratch: ScratchDatabase) -> Iterator[str]:
    """Yield each such table with the reason."""
    schemas = {databases.schema(name).fingerprint: (kind, name) for name, kind in databases.names_and_kinds()}
    for kind, name in schemas.values():
        schema = databases.schema(name)
        yield from (f"{kind}.{problem}" for problem in _columns_of_names(schema))
        yield from (f"{kind}.{table}: {reason}" for table, reason in scratch.refusals(schema).items())


def _columns_of_names(schema: Schema) -> Iterator[str]:
    for table, shape in schema.tables.items():
        for column in shape.copied:
            if column.type.removesuffix("[]") in _NAMES:
                yield f"{table}.{column.name} is of type {column.type}: its values name objects of the live database"

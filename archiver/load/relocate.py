"""Map an archive whose rows are in another shard today: renumbered ids, and the shard's name in the tenant's row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from archiver.catalog.model import MASTER, SHARD, Model
from archiver.load.fit import Mappings
from archiver.mapping.id_columns import id_columns
from archiver.mapping.schema_mapping import SchemaMapping, TableMapping
from archiver.postgres.schema import Schema
from archiver.postgres.session import SQL, Composable, Literal
from archiver.records.id_offsets import Offsets
from archiver.records.placement_history import Relocations


def relocated(mappings: Mappings, model: Model, schemas: Mapping[str, Schema], relocations: Relocations) -> Mappings:
    """Return the mappings after these relocations of the rows; unchanged if there are none."""
    if not relocations or model.tenant.shard is None:
        return mappings
    column, root = model.tenant.shard, mappings[MASTER].by_target[model.root.table]
    name = SQL("{}::{}").format(Literal(relocations[-1].target), SQL(root.shape.type_of(column)))
    return {
        MASTER: _replaced(mappings[MASTER], {model.root.table: {column: name}}),
        SHARD: renumbered(mappings[SHARD], model, schemas[SHARD], [relocation.offsets for relocation in relocations]),
    }


def renumbered(
    mapping: SchemaMapping, model: Model, schema: Schema, offsets_of_each: Sequence[Offsets]
) -> SchemaMapping:
    """Return a shard's mapping with every id after these offsets, applied in order."""
    if not any(region.plus for offsets in offsets_of_each for region in offsets):
        return mapping
    columns = id_columns(model, schema)
    return _replaced(
        mapping,
        {
            name: {
                column.name: column.translated(table.values[column.name], offsets_of_each)
                for column in columns[name]
                if column.name in table.values
            }
            for name, table in mapping.by_target.items()
        },
    )


def _replaced(mapping: SchemaMapping, values: Mapping[str, Mapping[str, Composable]]) -> SchemaMapping:
    """Return a mapping with other values for some columns, by table."""
    return replace(mapping, tables=tuple(_other(table, values.get(table.target.table, {})) for table in mapping.tables))


def _other(table: TableMapping, values: Mapping[str, Composable]) -> TableMapping:
    """Return a table's mapping with other values for some columns."""
    return replace(table, values={**table.values, **values}, plain=False) if values else table

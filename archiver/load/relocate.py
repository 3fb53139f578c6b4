"""An archive's mappings for rows that lie in another shard today: their ids there, and its name in the tenant's row."""

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


def relocated(mappings: Mappings, model: Model, schemas: Mapping[str, Schema], hops: Relocations) -> Mappings:
    """The mappings of an archive whose rows went these ways; as they are, where there are none."""
    if not hops or model.tenant.shard is None:
        return mappings
    column, root = model.tenant.shard, mappings[MASTER].by_target[model.root.table]
    name = SQL("{}::{}").format(Literal(hops[-1].target), SQL(root.shape.type_of(column)))
    return {
        MASTER: _replaced(mappings[MASTER], {model.root.table: {column: name}}),
        SHARD: renumbered(mappings[SHARD], model, schemas[SHARD], [hop.offsets for hop in hops]),
    }


def renumbered(mapping: SchemaMapping, model: Model, schema: Schema, hops: Sequence[Offsets]) -> SchemaMapping:
    """A shard's mapping with every id as it is after these ways."""
    if not any(region.plus for offsets in hops for region in offsets):
        return mapping
    columns = id_columns(model, schema)
    return _replaced(
        mapping,
        {
            name: {
                one.name: one.moved(table.values[one.name], hops) for one in columns[name] if one.name in table.values
            }
            for name, table in mapping.by_target.items()
        },
    )


def _replaced(mapping: SchemaMapping, values: Mapping[str, Mapping[str, Composable]]) -> SchemaMapping:
    """A mapping with other values for some columns, by table."""
    return replace(mapping, tables=tuple(_other(table, values.get(table.target.table, {})) for table in mapping.tables))


def _other(table: TableMapping, values: Mapping[str, Composable]) -> TableMapping:
    return replace(table, values={**table.values, **values}, plain=False) if values else table

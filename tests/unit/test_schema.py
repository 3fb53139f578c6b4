"""The shape of tables: in which order foreign keys let them be loaded."""

from __future__ import annotations

import hashlib
import json

from archiver.postgres.schema import Column, ForeignKey, Schema, Table, load_order


def schema(**named: tuple[str, ...]) -> Schema:
    """Tables, and which others their foreign keys name."""
    return Schema(types={}, tables={name: table(*targets) for name, targets in named.items()})


def table(*targets: str) -> Table:
    keys = tuple(ForeignKey(name=target, columns=("x",), target=target, target_columns=("id",)) for target in targets)
    return Table(columns=(), primary_key=("id",), constraints={}, foreign_keys=keys)


def test_a_referenced_table_is_loaded_before_the_table_that_references_it() -> None:
    assert load_order(schema(rooms=("schools",), goals=("rooms", "schools"), schools=())) == (
        ("schools",),
        ("rooms",),
        ("goals",),
    )


def test_a_table_that_references_itself_stands_alone() -> None:
    assert load_order(schema(categories=("categories",))) == (("categories",),)


def test_tables_on_a_cycle_stand_together_after_those_they_reference_and_before_those_that_reference_them() -> None:
    order = load_order(
        schema(orders=("staff",), staff=("rooms", "staff"), rooms=("floors",), floors=("staff", "schools"), schools=())
    )

    assert order == (("schools",), ("staff", "rooms", "floors"), ("orders",))


def test_a_key_to_a_table_that_is_not_carried_orders_nothing() -> None:
    assert load_order(schema(schools=("districts",))) == (("schools",),)


def test_the_fingerprint_is_that_of_the_shape_as_manifests_hold_it() -> None:
    column = Column(name="x", type="mood", not_null=True, identity=False, generated=None, sequence="rooms_x_seq")
    rooms = Table(columns=(column,), primary_key=("x",), constraints={"b": "CHECK (x)", "a": "é"}, foreign_keys=())
    shape = Schema(types={"mood": "CREATE TYPE"}, tables={"rooms": rooms, "goals": table("rooms")})

    written = json.dumps(shape.to_json(), sort_keys=True)
    assert shape.fingerprint == hashlib.sha256(written.encode()).hexdigest()
    assert Schema.from_json(json.loads(written)).fingerprint == shape.fingerprint

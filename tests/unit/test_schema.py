"""The shape of tables: in which order foreign keys let them be loaded."""

from __future__ import annotations

from archiver.schema import ForeignKey, Schema, Table, load_order


def schema(**named: tuple[str, ...]) -> Schema:
    """Tables, and which others their foreign keys name."""
    return Schema(types={}, tables={name: table(*targets) for name, targets in named.items()})


def table(*targets: str) -> Table:
    keys = tuple(ForeignKey(name=target, columns=("x",), target=target, target_columns=("id",)) for target in targets)
    return Table(columns=(), primary_key=("id",), constraints={}, foreign_keys=keys)


def test_what_a_foreign_key_names_is_loaded_before() -> None:
    assert load_order(schema(rooms=("schools",), goals=("rooms", "schools"), schools=())) == (
        ("schools",),
        ("rooms",),
        ("goals",),
    )


def test_a_table_that_names_itself_stands_alone() -> None:
    assert load_order(schema(categories=("categories",))) == (("categories",),)


def test_tables_on_a_cycle_stand_together_after_what_they_name_and_before_what_names_them() -> None:
    order = load_order(
        schema(orders=("staff",), staff=("rooms", "staff"), rooms=("floors",), floors=("staff", "schools"), schools=())
    )

    assert order == (("schools",), ("staff", "rooms", "floors"), ("orders",))


def test_a_key_to_a_table_that_is_not_carried_orders_nothing() -> None:
    assert load_order(schema(schools=("districts",))) == (("schools",),)

"""Rows are found by the values of a link only if equal values always have the same text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from archiver.catalog.model import resolve
from archiver.completeness.completeness import findings_of
from archiver.completeness.live_types import LiveType
from inventory.catalog import Catalog, DepthRule, Table, Tenant
from tests.schemas import database

LIVE = database(companies="id", rooms="id, company_id")
CATALOG = Catalog(
    tenant=Tenant(noun="company", table="companies", key="id", title="id"),
    databases={
        "master": {
            "companies": Table(group="company"),
            "rooms": Table(group="room", found_by=("company_id = companies.id",)),
        }
    },
    depths={"all": DepthRule(start="companies")},
)
NUMBER, NUMERIC = LiveType(name="bigint", family="number"), LiveType(name="numeric(8,2)", family="number")
TEXT = LiveType(name="character varying(8)", family="text")
JSON = LiveType(name="jsonb", family=None)
CITEXT = LiveType(name="public.citext", family=None, identifies=False)


def problems(child: LiveType, parent: LiveType) -> tuple[str, ...]:
    types = {("rooms", "company_id"): child, ("companies", "id"): parent}
    return findings_of(resolve(CATALOG), {"master": {"master": replace(LIVE, column_types=types)}}).problems


@pytest.mark.parametrize(("child", "parent"), [(NUMBER, NUMBER), (NUMERIC, NUMBER), (TEXT, TEXT)])
def test_a_link_between_columns_of_one_family_is_followed(child: LiveType, parent: LiveType) -> None:
    assert problems(child, parent) == ()


def test_a_link_between_two_families_is_named() -> None:
    assert problems(TEXT, NUMBER) == (
        "master.rooms.company_id (character varying(8)) = master.companies.id (bigint): rows cannot be linked by "
        "values of two types. Give both columns the same type",
    )


def test_a_link_by_values_that_are_equal_in_several_texts_is_named() -> None:
    assert problems(JSON, JSON) == (
        "master.rooms.company_id (jsonb) = master.companies.id (jsonb): rows cannot be linked by jsonb, of which equal "
        "values may be written differently",
    )


def test_a_primary_key_of_an_extensions_type_is_named() -> None:
    assert problems(NUMBER, CITEXT)[-1] == (
        "master.companies.id is part of the primary key, and of type public.citext: rows cannot be found by such values"
    )

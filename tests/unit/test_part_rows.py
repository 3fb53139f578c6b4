"""A part's rows in an archive and its months: found among all of them, and told apart again, by values."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from archiver.catalog.model import Part, TableName, resolve
from archiver.load import part_rows, row_values
from archiver.load.load import IncomingArchive
from archiver.load.part_rows import rows_of_part
from archiver.load.row_values import RowValues
from archiver.load.staged import Staged
from archiver.postgres.schema import Schema
from archiver.postgres.session import Identifier
from errors import UsageError
from inventory.catalog import Catalog, DepthRule, Table, Tenant
from inventory.keys import Parts
from tests.answering import session
from tests.schemas import database

MODEL = resolve(
    Catalog(
        tenant=Tenant(
            noun="school", table="schools", key="id", title="name", shard="shard", parts={"classroom": "classrooms"}
        ),
        databases={
            "master": {
                "schools": Table(group="a"),
                "classrooms": Table(group="a", found_by=("school_id = schools.id",)),
            },
            "shard": {
                "visits": Table(group="a", found_by=("classroom_id = master.classrooms.id",)),
                "steps": Table(group="a", found_by=("visit_id = visits.id",)),
            },
        },
        depths={"all": DepthRule(start="schools")},
    )
)
SCHEMAS = {
    "master": Schema(tables=database(schools="id", classrooms="id, school_id").tables, types={}),
    "shard": Schema(tables=database(visits="id, classroom_id", steps="id, visit_id").tables, types={}),
}
COMPLETE = {
    "master.schools": [{"id": "13"}],
    "master.classrooms": [{"id": "41", "school_id": "13"}, {"id": "42", "school_id": "13"}],
    "master.feeds": [{"id": "1"}],  # leads nowhere
    "shard.visits": [{"id": "1", "classroom_id": "42"}, {"id": "2", "classroom_id": "41"}],
}
MONTH = {"shard.visits": [{"id": str(number), "classroom_id": "41"} for number in (3, 4)]}
MONTH["shard.visits"] += [{"id": "5", "classroom_id": "42"}]
MONTH["shard.steps"] = [{"id": "6", "visit_id": "1"}, {"id": "7", "visit_id": "2"}]  # in this archive alone


def incoming(rows: Any) -> IncomingArchive:
    """Return an archive of these rows, whose tables have other names."""
    tables = [
        SimpleNamespace(target=TableName(*name.split(".")), source=TableName("old", name.split(".")[1]))
        for name in rows
    ]
    mappings = {
        kind: SimpleNamespace(
            tables=[each for each in tables if each.target.database == kind],
            by_target={each.target.table: each for each in tables if each.target.database == kind},
        )
        for kind in SCHEMAS
    }
    manifest = SimpleNamespace(noun="school", tenant_id=13, year=2013)
    placement = SimpleNamespace(schemas=SCHEMAS, sessions=dict.fromkeys(SCHEMAS, session()))
    values: Any = {
        "placement": placement,
        "model": MODEL,
        "archive": SimpleNamespace(rows=rows, manifest=manifest),
        "mappings": mappings,
    }
    return IncomingArchive(**values)


def staged_values(session: object, schema: object, staged: Any, columns: Any) -> RowValues:
    rows = staged.archive.rows[str(staged.table)]
    return RowValues(columns=columns, rows=[tuple(row[column] for column in columns) for row in rows])


@pytest.fixture(autouse=True)
def _without_a_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(part_rows, "staged_values", staged_values)
    monkeypatch.setattr(
        part_rows,
        "stage_rows",
        lambda session, tables, model, archive: {
            each.target.table: SimpleNamespace(table=each.target, archive=archive) for each in tables
        },
    )
    monkeypatch.setattr(
        part_rows, "lines_of", lambda archive, rows: {each.table: sorted(rows[each]) for each in sorted(rows)}
    )


def test_a_part_is_its_own_row_those_below_in_all_archives_and_those_they_name() -> None:
    found: Any = rows_of_part([incoming(COMPLETE), incoming(MONTH)], Part("classroom", 42))
    assert found == [{"classrooms": [1], "schools": [0], "visits": [0]}, {"steps": [0], "visits": [2]}]
    [alone] = cast(Any, rows_of_part([incoming(COMPLETE)], Part("classroom", 41)))
    assert alone == {"classrooms": [0], "schools": [0], "visits": [1]}


def test_a_person_comes_back_with_the_rows_that_name_it_and_all_below_those(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Catalog(
        tenant=Tenant(noun="school", table="schools", key="id", title="name", parts={"pupil": "pupils"}),
        databases={
            "master": {
                "schools": Table(group="a"),
                "seats": Table(group="a", found_by=("school_id = schools.id",)),
                "pupils": Table(group="a", found_by=("(year, number) = seats.(pupil_year, pupil)",)),
                "marks": Table(group="a", found_by=("seat_id = seats.id",)),
                "parents": Table(group="a", found_by=("(year, pupil) = pupils.(year, number)",)),
            },
        },
        depths={"all": DepthRule(start="schools")},
    )
    tables = database(
        schools="id",
        seats="id, school_id, pupil_year, pupil",
        pupils="year, number",
        marks="id, seat_id",
        parents="id, year, pupil",
    ).tables
    tables = {**tables, "pupils": replace(tables["pupils"], primary_key=("year", "number"))}
    rows = {
        "master.schools": [{"id": "13"}],
        "master.seats": [
            {"id": str(number), "school_id": "13", "pupil_year": year, "pupil": pupil}
            for number, (year, pupil) in enumerate([("2012", "a-b"), ("2013", "a-b"), ("2013", "c")])
        ],
        "master.pupils": [{"year": "2012", "number": "a-b"}, {"year": "2013", "number": "a-b"}],
        "master.marks": [{"id": "7", "seat_id": "0"}, {"id": "8", "seat_id": "1"}],
        "master.parents": [{"id": "1", "year": "2012", "pupil": "a-b"}, {"id": "2", "year": "2013", "pupil": "a-b"}],
    }
    monkeypatch.setitem(SCHEMAS, "master", Schema(tables=tables, types={}))
    archived = replace(incoming(rows), model=resolve(catalog))

    [found] = cast(Any, rows_of_part([archived], Part("pupil", Parts((2013, "a-b")))))

    assert found == {"schools": [0], "seats": [1], "pupils": [1], "marks": [1], "parents": [1]}
    with pytest.raises(UsageError, match=r"Pupil 2011-x is not in the archive of school 13 of 2013") as refused:
        rows_of_part([archived], Part("pupil", Parts((2011, "x"))))
    assert refused.value.hint.endswith("run: inv archive.find pupil 2011-x")


def test_values_are_those_that_the_rows_get_today() -> None:
    shape = database(rooms="id, level, twice, since").tables["rooms"]
    columns = [replace(each, generated="level * 2" if each.name == "twice" else None) for each in shape.columns]
    today = Schema(tables={"rooms": replace(shape, columns=tuple(columns))}, types={})
    archived = Staged(
        table=TableName("master", "rooms"),
        shape=database(rooms="id, level").tables["rooms"],
        relation=Identifier("pg_temp", "stage 0"),
        rows=1,
        links=(),
    )
    server: Any = session({"reading the keys of master.rooms": [("1",)]})
    for column, value in (("level", "Identifier('level')"), ("twice", "SQL('level * 2')"), ("since", "SQL('NULL')")):
        server.texts.clear()
        assert row_values.staged_values(server, today, archived, (column,)).rows == [("1",)]
        [(_, text)] = server.texts
        assert value in text


def test_a_part_that_the_archive_does_not_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="Classroom 43 is not in the archive of school 13 of 2013"):
        rows_of_part([incoming(COMPLETE), incoming(MONTH)], Part("classroom", 43))

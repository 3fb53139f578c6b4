"""Changes of indexes and partitions since an archive: which may reject its rows, and which cannot."""

from __future__ import annotations

import pytest

from archiver.records.guards import GuardHistory, Guards

KEY, NAME = "UNIQUE USING btree (id)", "UNIQUE USING btree (name) NULLS NOT DISTINCT"
Y2013, Y2014, REST = "FOR VALUES FROM (2013) TO (2014)", "FOR VALUES FROM (2014) TO (2015)", "DEFAULT"


def guards(*unique: str, partitions: tuple[str, ...] = ()) -> Guards:
    return Guards(unique=frozenset(unique), partitions=frozenset(partitions))


@pytest.mark.parametrize(
    ("earlier", "today", "came"),
    [
        (guards(KEY), guards(KEY), []),
        (guards(KEY), guards(KEY, NAME), [f"{NAME} came"]),
        (guards(KEY, NAME), guards(KEY), []),
        (guards(partitions=(Y2013,)), guards(partitions=(Y2014,)), [f"the partition {Y2013} went"]),
        (guards(partitions=(Y2013,)), guards(partitions=(Y2013, Y2014)), []),
        (guards(partitions=(Y2013,)), guards(partitions=(Y2014, REST)), []),
    ],
)
def test_only_what_may_reject_rows_has_come_since(earlier: Guards, today: Guards, came: list[str]) -> None:
    assert today.came_since(earlier) == came


@pytest.mark.parametrize(("turn", "met"), [(2, KEY), (4, KEY), (9, NAME)])
def test_an_archive_met_the_guards_of_the_entry_before_it_and_older_ones_those_of_the_first(
    turn: int, met: str
) -> None:
    history = GuardHistory({"master": [(3, {"users": guards(KEY)}), (8, {"users": guards(NAME)})]})

    assert history.at("master", turn) == {"users": guards(met)}
    assert history.at("shard_1", turn) is None

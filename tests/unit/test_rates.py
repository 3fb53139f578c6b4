"""Times of a few tenants, made a rate; sizes of all, made an estimate for any number of bytes."""

from __future__ import annotations

import pytest

from archiver.catalog.model import resolve
from archiver.estimate import rates
from archiver.estimate.estimate import Estimate, estimate
from archiver.estimate.rates import ArchiveSample, Rate
from archiver.estimate.sizes import TenantSize
from archiver.postgres.tenants import Tenant
from errors import RefusedError
from inventory.load import load_catalog
from runbooks.archives.estimate import lines


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(100, 1.0), (300, 2.0)], Rate(tenant=0.5, row=0.005)),
        ([(100, 1.0)], Rate(tenant=0, row=0.01)),
        ([(100, 2.0), (300, 1.0)], Rate(tenant=0, row=3 / 400)),
        ([(0, 1.0)], Rate(tenant=0, row=1.0)),
    ],
)
def test_a_rate_is_a_tenants_seconds_and_a_rows(points: list[tuple[int, float]], expected: Rate) -> None:
    found = rates.fitted(points)

    assert (found.tenant, found.row) == pytest.approx((expected.tenant, expected.row))


SAMPLE = ArchiveSample(rows=1000, size=50_000, archive=10.0, extract=4.0, verify=5.0, delete=1.0)
SCHOOL = Tenant(id=13, name="Lincoln", shard="shard_1", customer_id=None, customer_name=None)


def of_one_school(*, in_sets: bool = True, of_bytes: int | None = None, **size: float) -> Estimate:
    heads = {"classrooms": 4, "students": 99.6}
    sizes = [TenantSize(tenant=SCHOOL, heads=heads, **{"rows": 2_000, "bytes": 100_000, **size})]
    return estimate(sizes, rates.rates([SAMPLE]), 1, None, workers=2, in_sets=in_sets, of_bytes=of_bytes)


@pytest.mark.parametrize("in_sets", [True, False])
def test_twice_the_bytes_are_twice_the_rows_classrooms_students_and_seconds(in_sets: bool) -> None:
    found = of_one_school(in_sets=in_sets, of_bytes=200_000)

    assert found.all_tenants.heads == {"classrooms": 4, "students": 100}
    assert found.of_bytes
    assert (found.of_bytes.rows, found.of_bytes.size) == (4_000, 200_000)
    assert found.of_bytes.heads == {"classrooms": 8, "students": 200}
    assert found.of_bytes.together == pytest.approx(2 * found.together)
    assert found.to_json()["of_bytes"]["rows"] == 4_000


def test_an_estimate_of_gigabytes_is_said_in_a_sentence_if_it_is_asked_for() -> None:
    said = [str(line) for line in lines("school", of_one_school(of_bytes=200 * 1000**3))]

    assert "All of them have about 4 classrooms, 100 students." in said
    [asked] = [line for line in said if "would be" in line]
    assert asked.startswith("200 GB of live rows would be about 4,000,000,000 rows, 8,000,000 classrooms, 200")
    assert not [line for line in map(str, lines("school", of_one_school())) if "would be" in line]


def test_without_any_row_no_gigabytes_are_estimated() -> None:
    with pytest.raises(RefusedError, match="no live rows here to tell from"):
        of_one_school(of_bytes=1, rows=0, bytes=0)


def test_classrooms_and_students_are_what_groups_of_the_catalog_are_named_after() -> None:
    assert [str(head) for head in resolve(load_catalog("catalog.yaml")).heads] == [
        "master.classrooms",
        "shard.enrollments",
        "master.students",
    ]

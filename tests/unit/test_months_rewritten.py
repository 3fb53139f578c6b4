"""Months written anew without a school's rows: which go with its archive, what is refused, and in which order."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from archiver.kinds import drop_months
from archiver.records.audit_log import Entry
from archiver.records.month_record import Month
from archiver.records.slice_record import Slice
from archiver.records.state import State
from archiver.runs import rewrite_month
from archiver.runs.drop import DroppedMonths, Superseded
from archiver.runs.rewrite_month import SliceFile
from archiver.store.bucket import Digests, StoredDigests, file_digests
from errors import DamagedError, Problems, RefusedError
from tests.answering import SCHOOLS, session

NOON = datetime(2014, 9, 5, 12, tzinfo=UTC)
OLD = "s3://archives/activity/2014-07/shard_1/1/2014-07_shard_1.tar"


def month(name: str = "2014-07", *, state: State = State.ARCHIVED, number: int = 5) -> Month:
    location = OLD.replace("2014-07", name)
    columns: dict[str, Any] = dict.fromkeys(Month.__dataclass_fields__)
    own: dict[str, Any] = {
        "id": number,
        "month": name,
        "year": 2013,
        "shard": "shard_1",
        "state": state,
        "location": location,
    }
    return Month(**{**columns, **own, "started_at": NOON, "recipients": (), "size": 9, "sha256": "whole"})


def of_month(tenant: int = 13, of: Month | None = None, sha256: str = "") -> Slice:
    went = {"shard/visits.copy": 3}
    return Slice(month=of or month(), tenant_id=tenant, start=0, size=1, sha256=sha256, rows=went, went=went, stayed={})


def entry(number: int, act: str = "drop activity", name: str = "2014-06", **details: object) -> Entry:
    said = {"month": name, "location": OLD.replace("2014-07", name), **details}
    return Entry(id=number, at=NOON, operator="", host="", act=act, tenant_id=13, year=2013, record_id=4, details=said)


def archive(state: State = State.ARCHIVED) -> Any:
    return SimpleNamespace(tenant_id=13, key=13, year=2013, state=state)


def dropped(
    patch: pytest.MonkeyPatch,
    *slices: Slice,
    log: Sequence[Entry] = (),
    without: Sequence[str] = (),
    state: State = State.ARCHIVED,
) -> tuple[list[str], list[str]]:
    """Return the months that go with the school's archive, and those that a drop cut off since wrote anew."""
    patch.setattr("archiver.records.slice_record.of_year", lambda *_: slices)
    patch.setattr("archiver.records.audit_log.entries", lambda *_: log)
    found = drop_months.dropped_months(session(), "school", archive(state), without)
    return [each.month.month for each in found.slices], [each.month for each in found.superseded]


def test_the_year_s_months_go_with_an_archive_unless_its_rows_are_live_or_they_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    both = of_month(), of_month(of=month("2014-05"))
    assert dropped(monkeypatch, *both) == (["2014-07", "2014-05"], [])
    assert dropped(monkeypatch, *both, without=["2014-05"]) == (["2014-07"], [])
    for state in set(State) - {State.ARCHIVED}:
        assert dropped(monkeypatch, *both, state=state) == ([], [])
    with pytest.raises(Problems, match="Nothing was dropped of school 13 of 2013"):
        dropped(monkeypatch, *both, without=["2014-06"])


@pytest.mark.parametrize("state", [each for each in State if each is not State.ARCHIVED])
def test_a_month_whose_run_was_interrupted_is_refused_unless_it_is_left_out(
    monkeypatch: pytest.MonkeyPatch, state: State
) -> None:
    both = of_month(), of_month(of=month("2014-05", state=state))
    with pytest.raises(RefusedError, match=f"2014-05.* is {state.value}, by a run that was interrupted"):
        dropped(monkeypatch, *both)
    assert dropped(monkeypatch, *both, without=["2014-05"]) == (["2014-07"], [])


@pytest.mark.parametrize(
    ("log", "without", "names"),
    [
        ([entry(2, to="s3://a/new")], [], ["2014-06"]),
        ([entry(2, to="s3://a/new"), entry(3, "drop")], [], []),  # that drop has ended
        ([entry(2, "drop"), entry(3, to=None)], [], ["2014-06"]),
        ([entry(2, "restore activity", to="s3://a/new")], [], []),
        ([entry(2)], [], []),  # the month was dropped with all slices
        ([entry(2, to=None)], ["2014-06"], []),
    ],
)
def test_a_drop_that_was_cut_off_goes_on_with_the_objects_that_it_superseded(
    monkeypatch: pytest.MonkeyPatch, log: list[Entry], without: list[str], names: list[str]
) -> None:
    assert dropped(monkeypatch, log=log, without=without) == ([], names)


@dataclass
class Store:
    """A store that notes what is done; an object that is put comes back as `damage` says."""

    done: list[str] = field(default_factory=list)
    lost: frozenset[str] = frozenset()
    damage: bool = False
    objects: dict[str, bytes] = field(default_factory=dict)

    def key(self, location: str) -> str:
        return location.removeprefix("s3://archives/")

    def location(self, key: str) -> str:
        return f"s3://archives/{key}"

    def digests(self, key: str, limit: int) -> Digests:
        return Digests(size=9, sha256="other" if key in self.lost else "whole", md5="")

    def put(self, key: str, path: Path, digests: Digests) -> StoredDigests:
        self.done.append("put")
        self.objects[key] = path.read_bytes()
        return StoredDigests(**vars(digests), etag="", version_id=None)

    def get(self, key: str, path: Path, limit: int) -> Digests:
        content = self.objects[key]
        path.write_bytes(content)
        digests = file_digests(path)
        if self.damage:
            path.write_bytes(bytes(len(content)))
        return digests


def archiver(store: Store, work: Path) -> Any:
    model = SimpleNamespace(tenant=SCHOOLS)
    return SimpleNamespace(bucket=store, databases=SimpleNamespace(master=session()), model=model, work=work)


def test_months_that_are_lost_are_refused_together_before_anything_is_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    months = [month("2014-05"), month("2014-06", number=4), month("2014-07")]
    monkeypatch.setattr("archiver.records.month_record.of_ids", lambda master, ids: [months[1]] if ids == [4] else [])
    going = DroppedMonths(
        slices=(of_month(of=months[2]), of_month(of=months[0])),
        superseded=(Superseded(record_id=4, month="2014-06", location="s3://archives/old"),),
    )
    drop_months.refuse_lost(archiver(Store(), tmp_path), archive(), going)
    for lost in (months, months[:1], months[1:2]):
        keys = frozenset(Store().key(each.location) for each in lost)
        with pytest.raises(DamagedError) as refused:
            drop_months.refuse_lost(archiver(Store(lost=keys), tmp_path), archive(), going)
        names = ",".join(each.month for each in lost)
        assert f"inv archive.drop-archive 13 --year=2013 --without-month={names} (" in refused.value.hint


def test_an_earlier_object_is_deleted_only_once_its_month_is_written_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    store = Store()
    monkeypatch.setattr(drop_months, "_take_out", lambda archiver, each: store.done.append(f"anew {each.month.month}"))
    stays = {"old": "", "activity/2014-07/shard_1/1/2014-07_shard_1.tar": "Versions stay."}

    def delete(bucket: Store, key: str) -> str:
        store.done.append(f"delete {key}")
        return stays[key]

    monkeypatch.setattr(drop_months, "delete_for_good", delete)
    earlier = (Superseded(record_id=4, month="2014-06", location="s3://archives/old"),)
    going = DroppedMonths(slices=(of_month(),), superseded=earlier)
    assert drop_months.drop_slices(archiver(store, tmp_path), going) == ["Versions stay."]
    assert store.done == ["delete old", "anew 2014-07", "delete activity/2014-07/shard_1/1/2014-07_shard_1.tar"]


@pytest.mark.parametrize("others", [[9, 61], []])
def test_the_slices_of_others_go_on_and_a_month_without_any_has_no_object(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, others: list[int]
) -> None:
    done: list[Any] = []
    files = [SimpleNamespace(slice=of_month(tenant)) for tenant in [*others, 13]]
    anew = SimpleNamespace(month=SimpleNamespace(location="s3://archives/new"))
    monkeypatch.setattr(rewrite_month, "fetch_slices", lambda *_: files)

    def store(archiver: object, of: Month, recipients: object, kept: list[Any], work: object) -> Any:
        done.append(("store", [each.slice.tenant_id for each in kept]))
        return anew

    monkeypatch.setattr(rewrite_month, "store", store)
    monkeypatch.setattr(rewrite_month, "point_to", lambda databases, rewritten: done.append(("point", rewritten)))
    monkeypatch.setattr("archiver.records.slice_record.delete", lambda master, each: done.append(each.tenant_id))
    monkeypatch.setattr("archiver.records.audit_log.log", lambda *entry: done.append(entry[3]["to"]))
    drop_months._take_out(archiver(Store(), tmp_path), of_month())
    rewritten = [("store", others), ("point", anew), 13, "s3://archives/new"]
    assert done == (rewritten if others else [13, None])


def files_of(folder: Path, *tenants: int) -> list[SliceFile]:
    found = []
    for tenant in tenants:
        path = folder / f"2014-07_school_{tenant}.tar.gz"
        path.write_bytes(f"rows of {tenant}".encode())
        digests = file_digests(path)
        found.append(SliceFile(slice=of_month(tenant, sha256=digests.sha256), path=path, digests=digests))
    return found


def test_slices_are_fetched_as_their_record_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    files = files_of(tmp_path, 9, 13)
    monkeypatch.setattr("archiver.records.slice_record.of_archive", lambda *_: [each.slice for each in files])
    monkeypatch.setattr("archiver.runs.month_object.fetch_all", lambda *_: [each.path for each in files])
    for work in ("right", "wrong"):
        (tmp_path / work).mkdir()
    assert rewrite_month.fetch_slices(archiver(Store(), tmp_path), month(), tmp_path / "right") == files
    files[1].path.write_bytes(b"other rows")
    with pytest.raises(DamagedError, match=r"holds other bytes of 2014-07_school_13\.tar\.gz than its record says"):
        rewrite_month.fetch_slices(archiver(Store(), tmp_path), month(), tmp_path / "wrong")


@pytest.mark.parametrize("damage", [False, True])
def test_an_object_written_anew_is_compared_with_what_went_into_it(tmp_path: Path, damage: bool) -> None:
    store, files = Store(damage=damage), files_of(tmp_path, 9, 61)
    with pytest.raises(DamagedError, match="does not hold what") if damage else nullcontext():
        anew = rewrite_month.store(archiver(store, tmp_path), month(), (), files, tmp_path)
        [(key, content)] = store.objects.items()
        assert (anew.month.location, anew.month.sha256 != "whole") == (f"s3://archives/{key}", True)
        of_slices = [content[each.start : each.start + each.size] for each in anew.slices]
        assert of_slices == [b"rows of 9", b"rows of 61"]
        assert [each.sha256 for each in anew.slices] == [each.digests.sha256 for each in files]
        assert {each.month for each in anew.slices} == {anew.month}


def test_markers_name_an_object_before_the_record_and_the_slices_do(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[Any] = []
    monkeypatch.setattr("archiver.records.markers.relocate", lambda databases, of, acts: done.append(list(acts)))
    monkeypatch.setattr("archiver.records.archives.rewritten", lambda master, kind, of: done.append(of.location))
    monkeypatch.setattr("archiver.records.slice_record.rewritten", lambda master, each: done.append(each.tenant_id))
    slices = (of_month(9), of_month(61))
    anew = rewrite_month.Rewritten(month=month(), slices=slices, fetched=())
    rewrite_month.point_to(SimpleNamespace(master=None), anew)  # type: ignore[arg-type]
    assert done == [["slice 9 went", "slice 61 went"], OLD, 9, 61]

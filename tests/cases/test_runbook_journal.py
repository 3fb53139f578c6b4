"""Claims and journals of another version, of a colleague, on a read-only disk: read, or reported in a sentence."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from archiver.postgres.operator import operator
from errors import CutoverError, LockedError
from inventory.model import Environment
from runbooks.engine.live.lock import Holder, claimant, claimed, holder, machine_lock
from runbooks.engine.model.journal import FileJournal, Kind, read_events
from runbooks.night import files as night_files
from tests.fakes import EVENING, FakeObjectStore
from tests.operated_night import operated_night

DATE = "2014-08-15"
NAMES = ("LOGNAME", "USER", "LNAME", "USERNAME")  # the variables that may hold a login
KIM = Holder(who="kim", where="desk", pid=4711, born="monday 1", what="running the night", since="22:00")
ME = Holder(who="chris", where="laptop", pid=4712, born="monday 2", what="looking", since="23:00")


def without(*fields: str) -> str:
    """A note of kim's that lacks some of its fields."""
    return json.dumps({key: value for key, value in vars(KIM).items() if key not in fields})


NOTES = {
    "a field more": json.dumps({**vars(KIM), "session": "tmux 3"}),
    "a field less": without("born"),
    "cut": KIM.to_json()[:40],
    "another thing": "[]",
}


def journal(path: Path, *kinds: Kind) -> FileJournal:
    """A journal in a file, with these events."""
    made = FileJournal(path, now=lambda: EVENING, operator="kim@desk")
    for kind in kinds:
        made.append(kind, run="r", digest="d")
    return made


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_a_claim_of_another_version_holds_the_environment_until_it_is_taken_over(note: str) -> None:
    object_store = FakeObjectStore()
    object_store.put_new("lock/00000001", note)
    with pytest.raises(LockedError), claimed(object_store, ME, take_over="resume --take-over"):
        pass
    assert claimant(object_store, ME)
    with claimed(object_store, ME, take_over="", ousting=True):
        assert claimant(object_store, KIM).startswith("chris on laptop")


@pytest.mark.parametrize("note", [NOTES["a field more"], NOTES["a field less"]], ids=["more", "less"])
def test_a_lock_file_of_another_version_is_held_all_the_same(tmp_path: Path, note: str) -> None:
    with machine_lock(tmp_path / "lock", ME):
        (tmp_path / "lock").write_text(note)
        assert holder(tmp_path / "lock")


def test_a_lock_file_that_is_cut_is_held_all_the_same(tmp_path: Path) -> None:
    """Proves that of the two doors to a cut note the one on this machine is well."""
    with machine_lock(tmp_path / "lock", ME):
        (tmp_path / "lock").write_text(NOTES["cut"])
        assert holder(tmp_path / "lock")


@pytest.mark.parametrize("newer", [{"zone": "UTC"}, {"kind": "handed over"}], ids=["field", "kind"])
def test_a_journal_of_a_newer_version_is_read_or_reported_as_such(tmp_path: Path, newer: dict[str, str]) -> None:
    path = tmp_path / "journal.jsonl"
    journal(path, Kind.BEGAN)
    path.write_text(json.dumps({**json.loads(path.read_text()), **newer}) + "\n")
    try:
        (event,) = read_events(path)
    except CutoverError as error:
        assert str(path) in str(error)
        assert "damaged" not in str(error)
    else:
        assert (event.number, event.operator) == (1, "kim@desk")


def test_a_journal_on_a_disk_that_became_read_only_is_reported_in_a_sentence(tmp_path: Path) -> None:
    """The kernel refuses to open it as it does on a read-only disk, which only root could make: a folder is there."""
    path = tmp_path / "journal.jsonl"
    made = journal(path, Kind.BEGAN)
    path.rename(tmp_path / "elsewhere")
    path.mkdir()
    with pytest.raises(CutoverError) as told:
        made.append(Kind.STOPPED, reason="the disk")
    assert str(path) in str(told.value)


def begin(path: Path) -> None:
    """A journal that begins there."""
    journal(path / "journal.jsonl", Kind.BEGAN)


def lock(path: Path) -> None:
    """A lock that is held there."""
    with machine_lock(path / "lock", ME):
        pass


@pytest.mark.parametrize("work", [begin, lock])
def test_a_night_whose_folder_cannot_be_made_is_reported_in_a_sentence(
    tmp_path: Path, work: Callable[[Path], None]
) -> None:
    (tmp_path / "file").write_text("no folder can be made below a file, nor on a read-only disk")
    with pytest.raises(CutoverError) as told:
        work(tmp_path / "file" / "rehearsal")
    assert str(tmp_path / "file") in str(told.value)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Environment, FakeObjectStore]:
    """An environment whose night a colleague runs on this machine, who alone may open what lies in its folder."""
    object_store, environment = FakeObjectStore(), operated_night(monkeypatch, tmp_path).environment
    monkeypatch.setattr(night_files, "object_store_of", lambda environment: object_store)
    files = night_files.Files(environment, DATE)
    for event in journal(files.journal, Kind.BEGAN, Kind.INTENT).events:
        object_store.put_new(f"nights/{DATE}/001/{event.number:06}", event.to_json())
    files.lock.write_text(KIM.to_json())
    allowed = Path.open

    def denied(path: Path, *args: object, **options: object) -> object:
        if path.is_relative_to(tmp_path):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return allowed(path, *args, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", denied)
    return environment, object_store


def test_a_night_whose_file_belongs_to_a_colleague_is_seen_in_the_store(
    begun: tuple[Environment, FakeObjectStore],
) -> None:
    """Files of another login are simulated, for root may open them all."""
    environment, _ = begun
    try:
        events = night_files.events_of(environment, DATE)
    except CutoverError as error:
        assert "journal" in str(error)
    else:
        assert [event.kind for event in events] == [Kind.BEGAN, Kind.INTENT]


def test_the_operator_at_work_is_named_although_the_lock_belongs_to_a_colleague(
    begun: tuple[Environment, FakeObjectStore],
) -> None:
    """The store names the holder, where the file cannot be opened."""
    environment, object_store = begun
    object_store.put_new("lock/00000001", KIM.to_json())
    assert night_files.at_work(environment)


def test_the_operator_is_named_although_the_uid_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """The uid is the name, or the error asks for one in a sentence."""
    for name in ("CUTOVER_OPERATOR", *NAMES):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 64_999)
    try:
        assert operator()
    except CutoverError as error:
        assert "CUTOVER_OPERATOR" in f"{error} {error.hint}"

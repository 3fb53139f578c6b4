"""A store that hangs, is answered for by another, or has lost an event of a night."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from errors import CutoverError
from inventory.model import Environment, Store
from rehearsal.ports import LOOPBACK
from runbooks.cli.object_store import EnvironmentStore
from runbooks.engine.live.store_journal import StoreJournal, read_store_journal
from runbooks.engine.model.journal import Event, FileJournal, Kind, read_events
from runbooks.night import files
from tests import web
from tests.cases.runbook_conducted import HANGS, conducted
from tests.fakes import EVENING, FakeObjectStore, rehearsal

DATE, FOLDER = "2014-08-15", "nights/2014-08-15/001"
SOON = 5.0  # seconds: two are promised after a Ctrl-C, and some for a machine that is busy
PAGES = {
    "a page": b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Welcome to this hotel.</body></html>",
    "nothing": b"",
}


def test_ctrl_c_ends_a_night_whose_store_hangs(tmp_path: Path) -> None:
    """A server that takes the connection and never answers; the journal's next event is to be kept there."""
    with socket.socket() as silent:
        silent.bind((LOOPBACK, 0))
        silent.listen()
        with conducted(tmp_path, str(silent.getsockname()[1])) as night:
            night.await_line(HANGS)
            assert night.ended_by(signal.SIGINT, SOON)


@contextmanager
def answered_by_another(folder: Path, page: bytes) -> Iterator[Store]:
    """A store before which something answers all there is with 200 and a page."""

    class Handler(web.Quiet, BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.close_connection = True
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        do_PUT = do_GET  # noqa: N815 - the library's name

    credentials = folder / "credentials"
    credentials.write_text("[default]\naws_access_key_id = key\naws_secret_access_key = a secret of the tests\n")
    with web.serving(Handler) as endpoint:
        yield Store(bucket="b", prefix="p", endpoint=endpoint, credentials=str(credentials))


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try again at once: the pauses of seconds are the library's affair."""
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0)


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_an_event_is_not_stored_because_something_answered_200(tmp_path: Path, page: bytes) -> None:
    with answered_by_another(tmp_path, page) as store, pytest.raises(CutoverError, match=FOLDER):
        EnvironmentStore(store).put_new(f"{FOLDER}/000001", "an event")


@pytest.mark.parametrize("page", [PAGES["a page"].partition(b">")[2], PAGES["nothing"]], ids=["a page", "nothing"])
def test_a_web_page_is_not_a_listing_of_a_store(tmp_path: Path, page: bytes) -> None:
    with answered_by_another(tmp_path, page) as store, pytest.raises(CutoverError, match="nights"):
        EnvironmentStore(store).names("nights/")


def written(path: Path) -> tuple[Event, ...]:
    """A night of three events in a file of this machine."""
    journal = FileJournal(path, now=lambda: EVENING, operator="kim@desk")
    for kind in (Kind.BEGAN, Kind.STOPPED, Kind.RESUMED):
        journal.append(kind, run="r", digest="d")
    return journal.events


def test_a_night_has_begun_although_another_server_answers_for_the_store(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(files, "refuse_if_down", lambda environment: None)
    page = PAGES["a page"].partition(b">")[2]
    with answered_by_another(tmp_path, page) as store:
        environment: Environment = replace(rehearsal(), state=str(tmp_path), store=store)
        known = written(files.Files(environment, DATE).journal)
        assert files.events_of(environment, DATE) == known


@pytest.mark.parametrize("lost", [1, 2, 3])
def test_events_that_the_store_lost_are_put_back_from_a_file_that_has_them(tmp_path: Path, lost: int) -> None:
    path, object_store = tmp_path / "journal.jsonl", FakeObjectStore()
    events = written(path)
    object_store.texts = {f"{FOLDER}/{each.number:06}": each.to_json() for each in events if each.number != lost}
    journal = StoreJournal(path, object_store, FOLDER, now=lambda: EVENING, operator="kim@desk")

    assert journal.events == events
    journal.append(Kind.ENDED)
    assert read_store_journal((), object_store, FOLDER) == read_events(path) == journal.events


def test_a_gap_that_nothing_fills_is_reported_with_a_way_on(tmp_path: Path) -> None:
    object_store = FakeObjectStore()
    events = written(tmp_path / "journal.jsonl")
    object_store.texts = {f"{FOLDER}/{each.number:06}": each.to_json() for each in events if each.number != 2}
    with pytest.raises(CutoverError) as told:
        read_store_journal((), object_store, FOLDER)
    assert told.value.hint

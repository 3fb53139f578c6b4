"""The app before and in the night: answers that are not HTTP, and a 503 that no operator caused."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace

import pytest

from errors import CutoverError, RefusedError
from rehearsal.ports import LOOPBACK
from runbooks.engine.live.executors import LiveExecutor
from runbooks.engine.model.actions import HttpGet, ProbeOutput
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.ports import Http
from runbooks.engine.run import preflight
from runbooks.night.live_ports import Web
from tests.fakes import FakeHttp, FakeNight

AWAY = ProbeOutput(code=503, text="Service Unavailable")


@contextmanager
def saying(words: bytes) -> Iterator[str]:
    """Yield the port of a server that answers every request with these bytes."""
    with socket.create_server((LOOPBACK, 0)) as listener:

        def answer() -> None:
            with suppress(OSError):  # no request came, or the server is closed
                client, _ = listener.accept()
                with client:
                    client.recv(65536)
                    client.sendall(words)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}/"
        finally:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            thread.join()


@pytest.mark.parametrize(
    "words",
    [b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", b"HTTP/1.1 soon\r\n\r\n", b"HTTP/1.1 " + b"x" * 70_000],
    ids=["banner", "no status", "long line"],
)
def test_an_answer_that_is_not_http_is_a_failure_that_names_the_page(words: bytes) -> None:
    with saying(words) as url, pytest.raises(CutoverError, match=url):
        Web().get(HttpGet(url=url))


def test_the_journal_records_a_stop_however_a_run_ends() -> None:
    fake_night = FakeNight()

    def unforeseen() -> ProbeOutput:
        raise ValueError("of a library")

    fake_night.production.broken["watcher: system-watcher start"] = unforeseen

    with suppress(ValueError, CutoverError):
        fake_night.run()

    assert fake_night.journal.events[-1].kind is Kind.STOPPED


@dataclass
class Flickering(FakeHttp):
    """The app behind a proxy that now and then answers for it."""

    astray: set[int] = field(default_factory=lambda: {1})  # which looks get the proxy's answer
    looks: int = 0

    def get(self, request: HttpGet) -> ProbeOutput:
        self.looks += 1
        return AWAY if self.looks in self.astray else super().get(request)


@dataclass
class Behind(FakeNight):
    """A production whose app is looked at in another way."""

    http: Http | None = None

    @property
    def executor(self) -> LiveExecutor:
        """The live world, but for the app."""
        return replace(super().executor, http=self.http or Flickering(self.production))


def test_no_step_goes_on_while_the_product_is_open_because_a_proxy_answered_once() -> None:
    fake_night, shut = Behind(), dict[str, bool]()
    fake_night.screen.at_step = lambda key: shut.update({key: fake_night.production.maintenance})

    with suppress(CutoverError):
        fake_night.run()

    assert [key for key in ("watcher.stop", "backups.dump", "archiving.run") if shut.get(key) is False] == []


@pytest.mark.parametrize("status", [ProbeOutput(code=502, text="Bad Gateway"), AWAY], ids=["502", "503"])
def test_no_night_begins_while_the_app_does_not_answer_200(status: ProbeOutput) -> None:
    fake_night = Behind()
    fake_night.http = FixedHttp(status)

    with pytest.raises(RefusedError):
        preflight.require(fake_night.context, fake_night.plan.preflight)


@dataclass
class FixedHttp:
    """An app that always answers the same."""

    answer: ProbeOutput

    def get(self, request: HttpGet) -> ProbeOutput:
        return self.answer


def test_the_hint_at_the_gate_names_no_command_that_acts_on_another_environment() -> None:
    fake_night = FakeNight()

    def open_again(key: str) -> None:
        if key == "archiving.run":
            fake_night.production.maintenance = False

    fake_night.screen.at_step = open_again

    with pytest.raises(CutoverError, match="maintenance mode") as refused:
        fake_night.run()

    commands = re.findall(r"\binv [^,;()]*", refused.value.hint)
    assert [command for command in commands if "--env=" not in command or "--date=" not in command] == []

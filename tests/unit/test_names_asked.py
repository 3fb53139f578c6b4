"""Names are asked for only when the answer proves something, and any address of a name counts."""

from __future__ import annotations

import pytest

from errors import CutoverError
from runbooks.engine.model.actions import DnsLookup, ProbeOutput
from runbooks.night.live_ports import NameServer
from tests.cases.runbook_names import Answer, answering
from tests.fakes import FakeDns, FakeNight


class Asked(FakeDns):
    """The night's name server; it writes down what it was asked for."""

    names: tuple[str, ...] = ()

    def look_up(self, lookup: DnsLookup) -> ProbeOutput:
        self.names += lookup.names
        return super().look_up(lookup)


@pytest.mark.parametrize(
    ("moved_to", "asked"), [("10.0.0.1", False), ("10.0.0.2", True), ("", False)], ids=["before", "after", "no address"]
)
def test_a_new_name_is_asked_for_only_once_the_moved_one_leads_to_its_target(moved_to: str, asked: bool) -> None:
    """A cache remembers for a quarter of an hour that there was no such name."""
    night = FakeNight()
    night.dns = dns = Asked(night.production)
    night.production.names = {"new.farm": "10.0.0.2", "old.example": "10.0.0.1"}
    night.production.names |= {"name.example": moved_to} if moved_to else {}

    rows = night.executor.read(DnsLookup(names=("name.example", "new.farm"), new=("old.example",))).rows

    assert ("old.example" in dns.names) == (("old.example", "10.0.0.1") in rows) == asked


@pytest.mark.parametrize("kind", ["A", "AAAA"])
def test_a_name_with_addresses_of_one_kind_has_these(kind: str) -> None:
    address = {"A": "10.0.0.1", "AAAA": "fd00::1"}[kind]

    with answering(lambda name, asked: Answer(address) if asked == kind else Answer()) as server:
        assert NameServer(server).look_up(DnsLookup(names=("x.example",))).rows == (("x.example", address),)


def test_a_name_whose_ipv4_address_can_not_be_told_is_no_missing_one() -> None:
    def answer(name: str, kind: str) -> Answer:
        return Answer("fd00::1") if kind == "AAAA" else Answer(code="SERVFAIL")

    with answering(answer) as server, pytest.raises(CutoverError, match=r"Resolving x\.example failed"):
        NameServer(server).look_up(DnsLookup(names=("x.example",)))


@pytest.mark.parametrize("name", ["a..example", f"{'x' * 64}.example", "caf\udce9.example"])
def test_what_is_no_name_is_an_error_in_a_sentence(name: str) -> None:
    with (
        answering(lambda name, kind: Answer(code="NXDOMAIN")) as server,
        pytest.raises(CutoverError, match="Resolving"),
    ):
        NameServer(server).look_up(DnsLookup(names=(name,)))

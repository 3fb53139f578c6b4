"""Names in the night: what a cache remembers, and name servers that do not know AAAA."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from errors import CutoverError
from runbooks.engine.model.actions import DnsLookup, ProbeOutput
from runbooks.night.live_ports import NameServer
from tests.cases.runbook_names import Answer, answering
from tests.fakes import FakeClock, FakeDns, FakeNight

NAME = "warehouse.ttm.com"
ABSENT_FOR = 900  # seconds: what Route 53's zones say unless they are told otherwise


@dataclass
class CachingDns(FakeDns):
    """The name server that every client asks: it remembers a missing name for as long as the zone says.

    Where the zone's own servers are asked, which is a way to mend it, that look must not go through here.
    """

    absent_until: dict[str, float] = field(default_factory=dict)

    @property
    def clock(self) -> FakeClock:
        """The night's."""
        return self.production.clock

    def look_up(self, lookup: DnsLookup) -> ProbeOutput:
        found = super().look_up(lookup)
        for name in {*lookup.names} - {str(name) for name, _ in found.rows}:
            self.absent_until.setdefault(name, self.clock.ticks() + ABSENT_FOR)
        known = {name for name, until in self.absent_until.items() if self.clock.ticks() < until}
        return ProbeOutput(rows=tuple(row for row in found.rows if row[0] not in known))


def test_a_name_that_the_cutover_creates_is_proven_though_a_cache_remembers_its_absence() -> None:
    fake_night = FakeNight()
    fake_night.dns = CachingDns(fake_night.production)

    try:
        fake_night.run()
    except CutoverError as error:
        pytest.fail(str(error))

    assert fake_night.outcomes()["warehouse.cut-over warehouse-new"] == "done"


@pytest.mark.parametrize(
    "broken",
    [
        Answer(code="SERVFAIL"),
        Answer(code="NXDOMAIN"),
        None,
        Answer(),
    ],
    ids=["SERVFAIL", "NXDOMAIN", "silence", "none"],
)
def test_an_existing_address_counts_whatever_is_answered_for_others(
    broken: Answer | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runbooks.night.live_ports.PATIENCE", 1)

    with answering(lambda name, kind: Answer("10.0.0.1") if kind == "A" else broken) as server:
        found = NameServer(server).look_up(DnsLookup(names=(NAME,)))

    assert found.rows == ((NAME, "10.0.0.1"),)


def test_an_unknown_name_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runbooks.night.live_ports.PATIENCE", 1)

    with answering(lambda name, kind: Answer(code="SERVFAIL")) as server, pytest.raises(CutoverError, match=NAME):
        NameServer(server).look_up(DnsLookup(names=(NAME,)))

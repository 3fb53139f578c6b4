"""Steps 10, 12 and 12.4 by Amazon's API: moto's state afterwards, and the journal when something goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from errors import RefusedError, UnknownError
from inventory.model import Environment
from inventory.platforms import Aws, OldFarm
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.model.actions import DnsLookup, ProbeOutput, TakeSnapshots
from runbooks.engine.model.ports import Choice
from runbooks.engine.run import preflight
from runbooks.engine.run.runner import StepFailed
from runbooks.night.amazon import AmazonApi
from runbooks.night.live_ports import live_executor
from tests import aws
from tests.aws import FakeAmazon, refusal, saying
from tests.fakes import SERVERS, FakeClock, FakeNight, night_plan, rehearsal, rehearsal_night

FARMS = {"warehouse-old.farm.ttm.com": "10.0.0.1", "warehouse-new.farm.ttm.com": "10.0.0.2"}
BEFORE = {"warehouse.ttm.com": "warehouse-old.farm.ttm.com"}
AFTER = {"warehouse.ttm.com": "warehouse-new.farm.ttm.com", "warehouse-2013.ttm.com": "warehouse-old.farm.ttm.com"}
PACE = 100  # so that ten minutes are a few looks
RESIZED = ("StopInstances", "ModifyInstanceAttribute", "StartInstances")
CUT_OVER = "warehouse.cut-over warehouse-new"


@pytest.fixture(scope="module")
def moto() -> Iterator[FakeAmazon]:
    with aws.serving() as amazon:
        yield amazon


@pytest.fixture
def amazon(moto: FakeAmazon, monkeypatch: pytest.MonkeyPatch) -> FakeAmazon:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-the-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-the-tests-too")
    for kept in (moto.instead, moto.spoilt, moto.asked):
        kept.clear()
    return moto


@dataclass
class ZoneDns:
    """Resolves as moto's zone has it, seen after so many looks as if caches had run out."""

    amazon: FakeAmazon
    zone: str
    stale: int = 0

    def look_up(self, lookup: DnsLookup) -> ProbeOutput:
        self.stale -= 1
        names = BEFORE if self.stale >= 0 else self.amazon.names(self.zone)
        found = {name: FARMS.get(names.get(name, name)) for name in lookup.names}
        return ProbeOutput(rows=tuple((name, address) for name, address in found.items() if address))


@dataclass
class Night:
    """A night whose steps 10 and 12 are Amazon's; the rest of it lies in memory."""

    amazon: FakeAmazon
    environment: Environment
    fake_night: FakeNight
    dns: ZoneDns

    @property
    def zone(self) -> str:
        return self.dns.zone

    def run(self) -> None:
        self.fake_night.run()

    def stops(self, kind: type[Exception]) -> str:
        with pytest.raises(kind) as stopped:
            self.run()
        return str(stopped.value)

    def outcome(self, task: str) -> str:
        return self.fake_night.outcomes()[task]

    def snapshots(self, host: str) -> list[str]:
        assert self.environment.aws
        return [each["SnapshotId"] for each in self.amazon.snapshots(self.environment.aws.instances[host])]

    def findings(self) -> list[str]:
        fake_night = self.fake_night
        plan = [subject for subject in fake_night.plan.preflight if subject.name in ("EC2", "Route 53")]
        return [str(finding) for finding in preflight.examine(plan, fake_night.executor, fake_night.context.facts)]


@pytest.fixture
def night(amazon: FakeAmazon) -> Night:
    return the_night(amazon, "db-master", "db-shard-1")


def the_night(amazon: FakeAmazon, *at_ec2: str) -> Night:
    """Snapshots of servers that are not at EC2 are taken by hand."""
    zone = amazon.zone("ttm.com")
    instances = {host: amazon.instance(volumes=2 if host == "db-master" else 1) for host in at_ec2}
    farm = OldFarm(instance=amazon.instance(), type="t3.small")
    settings = Aws(endpoint=amazon.endpoint, instances=instances, zone=zone, old_farm=farm)
    environment = replace(rehearsal(), aws=settings, warehouse=replace(rehearsal_night().warehouse, shrink=None))
    fake_night = FakeNight(plan=night_plan(environment), clock=FakeClock(PACE))
    fake_night.amazon = AmazonApi(settings, fake_night.clock)
    amazon.now = fake_night.clock.now
    fake_night.dns = dns = ZoneDns(amazon, zone)
    name, target = next(iter(BEFORE.items()))
    record = {"Name": name, "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": target}]}
    changes = [{"Action": "UPSERT", "ResourceRecordSet": record}]
    amazon.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})
    return Night(amazon, environment, fake_night, dns)


def test_snapshots_of_every_volume_are_taken_both_names_moved_and_the_old_farm_made_small(amazon: FakeAmazon) -> None:
    night = the_night(amazon, *SERVERS)
    assert night.environment.aws
    assert night.environment.aws.old_farm

    night.run()

    assert night.amazon.size(night.environment.aws.old_farm.instance) == ("t3.small", "running")
    assert [call for call in night.amazon.asked if call in RESIZED] == list(RESIZED)

    assert set(night.fake_night.outcomes().values()) == {"done"}
    assert not [asked for asked in night.fake_night.person.asked if "snapshots" in asked or "cut-over" in asked]
    assert {host: len(night.snapshots(host)) for host in SERVERS} == dict.fromkeys(SERVERS, 1) | {"db-master": 2}
    (snapshot,) = night.amazon.snapshots(night.environment.aws.instances["db-shard-4"])
    tags = {tag["Key"]: tag["Value"] for tag in snapshot["Tags"]}
    run = night.fake_night.context.history().run
    assert tags == {
        "cutover": f"{run}.snapshots.create.db-shard-4.1",
        "Name": "db-shard-4",
        "environment": "rehearsal",
        "night": "2014-08-15",
        "database": "shard_4",
    }
    assert night.amazon.names(night.zone) == AFTER
    assert night.amazon.asked.count("POST rrset") == 1  # both in one change
    figures = night.fake_night.context.history().task_state("snapshots.create", "db-shard-4").figures
    assert figures["snapshots"] == [snapshot["SnapshotId"]]


def test_the_step_waits_for_names_that_resolve_late(night: Night) -> None:
    night.dns.stale = 6

    night.run()

    assert night.outcome(CUT_OVER) == "done"


def test_a_snapshot_that_fails_is_reported_and_a_retry_takes_another(night: Night) -> None:
    night.amazon.spoilt["DescribeSnapshots"] = saying(
        "<status>completed</status>", "<status>error</status><statusMessage>Volume is gone.</statusMessage>"
    )

    told = night.stops(StepFailed)
    failed = night.snapshots("db-shard-1")
    night.amazon.spoilt.clear()

    assert night.outcome("snapshots.create db-master") == "failed"
    assert f"snapshot {failed[0]} of vol-" in told
    assert "is in state error: Volume is gone" in told
    night.run()  # moto has made them good, and so there is nothing to do
    assert night.outcome("snapshots.create db-master") == "done"


def test_a_retry_takes_new_snapshots_and_does_not_wait_for_those_that_failed(night: Night) -> None:
    first: list[bytes] = []

    def only_first(answer: aws.Answer) -> aws.Answer:
        """The first set of one instance is broken for good."""
        ids = sorted(night.snapshots("db-shard-1"))
        if not first:
            first.extend(each.encode() for each in ids)
        body = answer[1]
        for broken in first:
            head, found, rest = body.partition(broken)
            body = head + found + rest.replace(b"<status>completed<", b"<status>error<", 1)
        return answer[0], body

    night.amazon.spoilt["DescribeSnapshots"] = only_first
    night.fake_night.person.script["choose snapshots.create db-shard-1"] = [Choice.RETRY]

    night.run()

    assert night.outcome("snapshots.create db-shard-1") == "done"
    assert len(night.snapshots("db-shard-1")) == 2


def test_a_lost_answer_leads_to_the_snapshots_that_it_was_about(night: Night) -> None:
    night.amazon.spoilt["CreateSnapshots"] = lambda answer: (aws.LOST, b"")

    night.run()

    assert night.outcome("snapshots.create db-shard-1") == "done"
    assert len(night.snapshots("db-shard-1")) == 1


def test_snapshots_that_a_killed_run_began_are_followed_and_not_begun_again(night: Night) -> None:
    action = night.fake_night.plan.step("snapshots.create").tasks[0].action
    assert isinstance(action, TakeSnapshots)

    for name in ("run.1", "run.1", "run.2"):
        night.fake_night.amazon.perform(action, name, print)

    assert len(night.snapshots("db-master")) == 4  # two volumes, two attempts


def test_an_internal_error_of_amazon_leaves_the_outcome_unknown_until_a_retry(night: Night) -> None:
    night.amazon.instead["CreateSnapshots"] = refusal("InternalError", 500)

    told = night.stops(UnknownError)
    night.amazon.instead.clear()

    assert night.outcome("snapshots.create db-shard-1") == "unknown"
    assert "The outcome of taking snapshots of i-" in told and " is unknown: " in told
    assert night.snapshots("db-shard-1") == []
    night.run()
    assert night.outcome("snapshots.create db-shard-1") == "done"
    assert len(night.snapshots("db-shard-1")) == 1


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("RequestExpired", "the credentials have expired (RequestExpired)"),
        ("AuthFailure", "Amazon rejects the credentials (AuthFailure)"),
        ("UnauthorizedOperation", "the credentials do not allow it (UnauthorizedOperation)"),
        ("RequestLimitExceeded", "Amazon asks us to slow down (RequestLimitExceeded)"),
        ("InvalidInstanceID.NotFound", "InvalidInstanceID.NotFound, as Amazon says it (InvalidInstanceID.NotFound)"),
    ],
)
def test_a_refusal_fails_the_step_with_a_sentence(night: Night, code: str, sentence: str) -> None:
    night.amazon.instead["CreateSnapshots"] = refusal(code, 503 if code.startswith("RequestLimit") else 400)

    told = night.stops(StepFailed)

    assert night.outcome("snapshots.create db-master") == "failed"
    assert f"failed: {sentence}" in told


def test_credentials_that_expire_on_the_way_leave_the_outcome_unknown(amazon: FakeAmazon) -> None:
    night = the_night(amazon, "db-master")
    pending = saying("<status>completed</status>", "<status>pending</status>")
    seen: list[aws.Answer] = []

    def expiring(answer: aws.Answer) -> aws.Answer:
        seen.append(answer)
        return pending(answer) if len(seen) <= 4 else refusal("RequestExpired")

    night.amazon.spoilt["DescribeSnapshots"] = expiring
    began = night.fake_night.clock.now()

    told = night.stops(UnknownError)

    assert night.outcome("snapshots.create db-master") == "unknown"
    assert "No answer for 10 min: the outcome is unknown." in told
    assert "the credentials have expired (RequestExpired)" in told
    assert night.fake_night.clock.now() - began < timedelta(hours=6)


def test_a_zone_that_never_syncs_leaves_the_outcome_unknown_until_the_names_resolve(night: Night) -> None:
    night.amazon.spoilt["GET change"] = saying("INSYNC", "PENDING")
    night.dns.stale = 100_000

    told = night.stops(UnknownError)

    assert night.outcome(CUT_OVER) == "unknown"
    assert "not finished within 10 min (the change " in told
    assert "is PENDING)" in told
    night.dns.stale = 0
    night.run()
    assert night.outcome(CUT_OVER) == "done"
    assert night.amazon.asked.count("POST rrset") == 1


def test_an_expired_token_of_route_53_moves_nothing(night: Night) -> None:
    night.amazon.instead["POST rrset"] = refusal("ExpiredToken", 403)

    told = night.stops(StepFailed)

    assert night.outcome(CUT_OVER) == "failed"
    assert "failed: the credentials have expired (ExpiredToken)" in told
    assert night.amazon.names(night.zone) == BEFORE


def test_preflight_asks_whether_it_would_be_allowed_and_does_nothing(night: Night) -> None:
    plan = [subject for subject in night.fake_night.plan.preflight if subject.name in ("EC2", "Route 53")]
    with live_executor(night.environment, SystemClock()) as world:
        found = [str(finding) for finding in preflight.examine(plan, world, night.fake_night.context.facts)]

    assert "EC2: i-" in found[0]
    assert "and snapshots of them are allowed" in found[0]
    assert found[-1] == f"Route 53: zone {night.zone} is ttm.com"
    assert night.snapshots("db-master") == []
    assert night.amazon.names(night.zone) == BEFORE


@pytest.mark.parametrize(
    ("operation", "code", "sentence"),
    [
        ("CreateSnapshots", "UnauthorizedOperation", "the credentials do not allow it (UnauthorizedOperation)"),
        ("DescribeInstances", "RequestExpired", "the credentials have expired (RequestExpired)"),
        ("GET hostedzone", "NoSuchHostedZone", "as Amazon says it (NoSuchHostedZone)"),
        ("GET rrset", "AccessDenied", "the credentials do not allow it (AccessDenied)"),
    ],
)
def test_preflight_refuses_calls_that_would_fail_during_the_night(
    night: Night, operation: str, code: str, sentence: str
) -> None:
    night.amazon.instead[operation] = refusal(code, 403)
    fake_night = night.fake_night

    with pytest.raises(RefusedError) as refused:
        preflight.require(fake_night.context, fake_night.plan.preflight)

    assert sentence in str(refused.value)
    assert str(refused.value).count(sentence) == 1  # not once more for each server


def test_credentials_that_are_provided_late_are_used_by_the_next_try(
    night: Night, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert night.environment.aws
    kept = tmp_path / "credentials"
    settings = replace(night.environment.aws, credentials=str(kept))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    night.fake_night.amazon = AmazonApi(settings, night.fake_night.clock)

    assert "failed: there are no credentials for it" in night.findings()[0]
    kept.write_text("[default]\naws_access_key_id = late\naws_secret_access_key = late-too\n")
    assert "snapshots of them are allowed" in night.findings()[0]


def test_a_zone_of_another_name_is_seen_before_the_night(night: Night) -> None:
    elsewhere = night.amazon.zone("example.com")
    assert night.environment.aws
    environment = replace(night.environment, aws=replace(night.environment.aws, zone=elsewhere))
    night.fake_night.plan = night_plan(environment)

    assert f"warehouse.ttm.com is not in zone {elsewhere}, which is example.com" in night.findings()[-1]

"""Every word of a night that outlives a process, as it is written today: in journals, in the object store, on hosts.

The words stand here as they stand there, in texts, and are derived from nothing: see test_persisted_words.py.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from enum import Enum
from pathlib import Path

import pytest

from inventory.figures import Written
from inventory.load import ROOT
from inventory.model import Database, Deferral
from inventory.platforms import Aws
from platforms.backup import newest
from runbooks.cutover import EVERY, SIXTEEN, TWELVE, back_out_steps
from runbooks.engine.live.approval import put_approval, requested
from runbooks.engine.live.clock import SystemClock
from runbooks.engine.live.jobs import RemoteJobs, job_name
from runbooks.engine.live.lock import Holder, claimed
from runbooks.engine.live.store_journal import StoreJournal, current_folder, next_folder
from runbooks.engine.model.actions import (
    DetachedJob,
    DnsLookup,
    HttpGet,
    InstanceSize,
    MoveNames,
    RemoteCommand,
    ResizeInstance,
    ResizeTrial,
    SnapshotList,
    SnapshotTrial,
    SqlQuery,
    StoreTrial,
    TakeSnapshots,
    ZoneRecords,
)
from runbooks.engine.model.journal import Event, Journal, Kind
from runbooks.engine.model.outcome import Outcome
from runbooks.engine.model.plan import Plan, numbered
from runbooks.engine.model.ports import Choice
from runbooks.engine.model.step import Check, HostTask, Mark, Step, holds
from runbooks.engine.reporting.notifications import POINT, WAITING
from runbooks.engine.run.abandon import abandon_night
from runbooks.night import earlier_nights
from runbooks.night import files as night_files
from runbooks.steps.context import BUILT_HERE
from tests.colleagues import approving
from tests.fakes import FIGURES, NIGHT, FakeNight, FakeObjectStore, night_plan, plan_of_2013, rehearsal
from tests.unit.test_abandon import stopped_before
from tests.unit.test_jobs import ThisMachine

NOW = datetime(2014, 8, 15, 22, 0, tzinfo=UTC)
OF_2014 = """\
maintenance.on watcher.stop warehouse.stop-etl backups.disable backups.dump backups.transfer replicas.terminate
archiving.run vacuum.full snapshots.create replicas.activate warehouse.cut-over warehouse.shrink backups.enable
watcher.start maintenance.off warehouse.rebuild
"""
OF_2013 = """\
maintenance.on backups.dump retirement.rename retirement.stop-etl archiving.run feeds.truncate vacuum.full
warehouse.rebuild app.point app.restart retirement.spin-down maintenance.off
"""
PAYMENTS = "replicas.activate backups.enable watcher.start warehouse.start-etl maintenance.off"


def test_the_keys_of_both_checklists_are_these_in_this_order() -> None:
    assert [step.key for step in night_plan().steps] == OF_2014.split()
    assert [step.key for step in plan_of_2013().steps] == OF_2013.split()
    assert [night_plan().checklist, plan_of_2013().checklist] == ["2014", "2013"]


def test_the_builder_of_a_step_has_the_same_key() -> None:
    assert [build.key for build in SIXTEEN] == OF_2014.split()
    assert [build.key for build in TWELVE] == OF_2013.split()
    assert {build.key for build in EVERY} == {*OF_2014.split(), *OF_2013.split()}
    assert BUILT_HERE == ("archiving.run", "feeds.truncate")


def test_debts_of_an_abandoned_night_are_paid_by_steps_of_these_keys() -> None:
    fake_night = FakeNight()
    stopped_before(fake_night, "archiving.run")

    assert [step.key for step in back_out_steps(rehearsal(), NIGHT)(fake_night.context).steps] == PAYMENTS.split()


@pytest.mark.parametrize(
    ("plan", "owed"),
    [
        (
            night_plan(),
            """
            maintenance.on owes: maintenance mode (the app)
            watcher.stop owes: System Watcher (watcher)
            warehouse.stop-etl owes: ETL (the warehouse)
            backups.disable owes: auto-backup (db-master)
            replicas.terminate owes: standby (db-master)
            replicas.activate pays: standby (db-master)
            warehouse.cut-over owes: shrinking the old farm (warehouse-old)
            warehouse.shrink pays: shrinking the old farm (warehouse-old)
            backups.enable pays: auto-backup (db-master)
            watcher.start pays: System Watcher (watcher)
            maintenance.off pays: maintenance mode (the app)
            warehouse.rebuild pays: ETL (the warehouse)
            """,
        ),
        (
            plan_of_2013(),
            """
            maintenance.on owes: maintenance mode (the app)
            retirement.stop-etl owes: ETL (the warehouse)
            warehouse.rebuild pays: ETL (the warehouse)
            maintenance.off pays: maintenance mode (the app)
            """,
        ),
    ],
    ids=["2014", "2013"],
)
def test_debts_are_written_in_these_words(plan: Plan, owed: str) -> None:
    """A journal's debts are found paid by these keys."""
    told = [
        f"{step.key} {what}: {debt.what} ({debt.where})"
        for step in plan.steps
        for what, debt in (("owes", step.tasks[0].owes), ("pays", step.tasks[0].pays))
        if debt
    ]

    assert told == [line.strip() for line in owed.strip().splitlines()]


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (
            Kind,
            "began, resumed, intent, reading, question, broken, answer, result, deferred, abandoned, stopped, ended",
        ),
        (Outcome, "pending, running, done, failed, skipped, deferred, unknown"),
        (Choice, "done, retry, by hand, skip, abort"),
        (Mark, "AUTOMATE, MANUAL"),
    ],
)
def test_events_and_answers_are_written_in_these_words(kind: type[Enum], words: str) -> None:
    assert ", ".join(member.value for member in kind) == words


EVENT = (
    '{"number": 4, "at": "2014-08-15T21:00:01+00:00", "kind": "intent", "operator": "chris@laptop", '
    '"step": "watcher.stop", "host": "watcher", "data": {"what": "by hand", "owes": null}}'
)


CHAINED = EVENT.removesuffix("}") + ', "before": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}'


@pytest.mark.parametrize("line", [EVENT, CHAINED], ids=["of a version without digests", "with the digest before it"])
def test_an_event_is_read_and_written_as_this_line(line: str) -> None:
    assert Event.from_json(line).to_json() == line


def test_the_first_event_carries_the_sha256_of_nothing_and_the_next_that_of_its_line() -> None:
    journal = Journal(now=lambda: NOW, operator="chris@laptop")
    first, second = journal.append(Kind("began"), run="r"), journal.append(Kind("ended"))

    assert first.before == json.loads(CHAINED)["before"]
    assert second.before == hashlib.sha256(first.to_json().encode()).hexdigest()


def fields_by_kind(events: Iterable[Event]) -> dict[str, set[str]]:
    """Return the fields of each kind's events, by the words of a journal."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for line in (json.loads(event.to_json()) for event in events):
        found[line["kind"]] |= set(line["data"])
    return dict(found)


FIELDS = {
    "began": "run checklist digest plan title steps statements figures",
    "resumed": "digest plan",
    "intent": "what owes",
    "reading": "rows",
    "question": "who what",
    "answer": "answer confirmed statements approved scope",
    "result": "outcome proof figures owes pays over",
    "stopped": "reason code",
    "ended": "",
}


def test_events_of_each_kind_hold_these_fields() -> None:
    """A stopped night is resumed by another plan, and approved by a second person."""
    environment = replace(rehearsal(), second_person=True)
    fake_night = FakeNight(plan=night_plan(environment))
    fake_night.context.begin(["Begun."], FIGURES)
    stopped_before(fake_night, "backups.dump")
    commands = {**environment.commands, "maintenance.off": "ttmscalr maintenance:off -f rehearsal --now"}
    fake_night.plan = night_plan(replace(environment, commands=commands))
    approving(fake_night)
    fake_night.run()

    assert fields_by_kind(fake_night.journal.events) == {kind: set(words.split()) for kind, words in FIELDS.items()}


FIGURES_OF_A_NIGHT = """\
counted_at noun tenants archived rows bytes seconds shards customers biggest left_out written
"""


def test_the_figures_of_a_night_hold_these_fields() -> None:
    written = Written(since=NOW, seen=True, tenants=1, rows=2, timeless=("master.taggings",))
    plain = replace(FIGURES, written=written).to_json()

    assert list(plain) == FIGURES_OF_A_NIGHT.split()
    shares = [share for part in ("shards", "customers", "biggest") for share in plain[part]]
    assert {" ".join(share) for share in shares} == {"name tenants rows bytes"}
    assert {" ".join(each) for each in plain["left_out"]} == {"name tenants reason"}
    assert list(plain["written"]) == ["since", "seen", "tenants", "rows", "timeless"]


def test_an_abandoned_night_is_recorded_in_these_words() -> None:
    fake_night = FakeNight()
    stopped_before(fake_night, "archiving.run")
    abandon_night(fake_night.context, back_out_steps(rehearsal(), NIGHT))

    assert fields_by_kind(fake_night.journal.events)["abandoned"] == set()


def test_deferred_work_is_recorded_in_these_words() -> None:
    environment = rehearsal()
    defer = {"warehouse.rebuild": Deferral(until=date(2014, 8, 29), by="Jim")}
    night = replace(environment.nights[NIGHT], defer=defer)
    fake_night = FakeNight(plan=night_plan(replace(environment, overlay=None, nights={NIGHT: night})))
    fake_night.run()

    [deferred] = [event for event in fake_night.journal.events if event.kind is Kind.DEFERRED]
    assert (deferred.step, deferred.host) == ("warehouse.rebuild", "warehouse-new")
    assert json.dumps(deferred.data) == (
        '{"title": "Data warehouse rebuild", "until": "2014-08-29", "by": "Jim",'
        ' "pays": {"what": "ETL", "where": "the warehouse"}}'
    )


def test_debts_and_figures_of_a_journal_hold_these_fields() -> None:
    fake_night = FakeNight()
    fake_night.run()
    lines = [json.loads(event.to_json()) for event in fake_night.journal.events]
    figures = {line["step"]: set(line["data"]["figures"]) for line in lines if line["data"].get("figures")}
    debts = {word for line in lines for name in ("owes", "pays") for word in line["data"].get(name) or ()}

    assert figures == {
        "backups.dump": {"sha256", "finished_at"},
        "archiving.run": {"selected", "excluded", "rows", "size"},
        "vacuum.full": {"before", "after"},
        "snapshots.create": {"snapshot"},
    }
    assert debts == {"what", "where"}


def test_a_claim_lies_in_the_object_store_in_these_words() -> None:
    written = (
        '{"who": "chris", "where": "laptop", "pid": 4711, "born": "monday 1", "what": "running", "since": "22:00"}'
    )
    object_store = FakeObjectStore()
    with claimed(object_store, Holder(**json.loads(written)), take_over=""):
        assert object_store.texts == {"lock/00000001": written}

    assert object_store.texts == {"lock/00000001": written, "lock/00000002": ""}


def test_a_nights_events_lie_in_the_object_store_under_these_names(tmp_path: Path) -> None:
    object_store = FakeObjectStore()
    folder = next_folder(object_store, "2014-08-15")
    journal = StoreJournal(tmp_path / "journal.jsonl", object_store, folder, now=lambda: NOW, operator="chris@laptop")
    journal.append(Kind("began"), run="r", digest="d")
    last = journal.append(Kind("ended"))
    journal.store_head()

    assert list(object_store.texts) == [
        "nights/2014-08-15/001/000001",
        "nights/2014-08-15/001/000002",
        f"heads/nights/2014-08-15/001/000002-{last.digest}",
    ]
    assert current_folder(object_store, "2014-08-15") == "nights/2014-08-15/001"
    assert next_folder(object_store, "2014-08-15") == "nights/2014-08-15/002"


def test_an_approval_lies_in_the_object_store_under_this_name_in_these_words() -> None:
    events = [
        '{"number": 1, "at": "2014-08-15T21:00:01+00:00", "kind": "began", "operator": "chris@laptop", "step": "",'
        ' "host": "", "data": {"run": "rehearsal-2014-08-15-1f3a", "digest": "d"}}',
        '{"number": 2, "at": "2014-08-15T21:00:02+00:00", "kind": "answer", "operator": "chris@laptop",'
        ' "step": "archiving.run", "host": "", "data": {"confirmed": true, "statements": ["All."]}}',
    ]
    request, object_store = requested(map(Event.from_json, events)), FakeObjectStore()
    assert request is not None
    put_approval(object_store, request, "kim@desk")

    assert object_store.texts == {"approvals/rehearsal-2014-08-15-1f3a/kim_desk": '{"operator": "kim@desk"}'}


def test_an_approval_for_a_scope_lies_under_the_number_of_the_event_that_it_approves() -> None:
    line = (
        '{"number": 41, "at": "2014-08-15T21:00:02+00:00", "kind": "answer", "operator": "chris@laptop",'
        ' "step": "archiving.run", "host": "", "data": {"confirmed": true, "statements": [], "scope": "c0ffee"}}'
    )
    request, object_store = requested([Event.from_json(line)]), FakeObjectStore()
    assert request is not None
    put_approval(object_store, replace(request, run="r"), "kim@desk")

    assert object_store.texts == {"approvals/r/41/kim_desk": '{"operator": "kim@desk"}'}


def test_files_of_a_night_have_these_names() -> None:
    environment = replace(rehearsal(), environment="production", state=".cutover", overlay=None)
    files = night_files.Files(environment, "2014-08-15")

    assert [files.journal, files.lock] == [
        ROOT / ".cutover/production/2014-08-15/journal.jsonl",
        ROOT / ".cutover/production/lock",
    ]


def test_an_earlier_journal_is_kept_and_set_aside_under_these_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(earlier_nights, "ROOT", tmp_path)
    environment = replace(rehearsal(), state=str(tmp_path / "lab"))
    files = night_files.Files(environment, "2014-08-15")
    files.journal.parent.mkdir(parents=True)
    files.journal.write_text(
        '{"number": 1, "at": "2014-08-15T21:00:01+00:00", "kind": "began", "operator": "chris@laptop", "step": "",'
        ' "host": "", "data": {"run": "rehearsal-2014-08-15-1f3a", "digest": "d"}}\n'
    )
    earlier_nights.keep(environment, "2014-08-15")
    files.set_aside()

    [kept] = (tmp_path / ".cutover").rglob("*.jsonl")
    assert kept == tmp_path / ".cutover/rehearsal/2014-08-15/journal-rehearsal-2014-08-15-1f3a.jsonl"
    [aside] = (tmp_path / "lab").rglob("*.jsonl")
    assert aside.match("lab/rehearsal/2014-08-15/journal-2*T*.jsonl")


def test_a_jobs_folder_on_its_host_has_these_files(tmp_path: Path) -> None:
    ssh = ThisMachine(tmp_path)
    name = job_name("rehearsal-2014-08-15-1f3a", "vacuum.full", "db-master", 1)
    job = DetachedJob(host="db-master", command="echo one; exit 7", timeout=timedelta(seconds=20))
    RemoteJobs(ssh, SystemClock()).run(job, name, lambda line: None)

    assert name == "rehearsal-2014-08-15-1f3a.vacuum.full.db-master.1"
    folder = tmp_path / ".cutover/jobs/rehearsal-2014-08-15-1f3a.vacuum.full.db-master.1"
    assert sorted(path.name for path in folder.iterdir()) == ["command", "exit", "log", "pid", "runner"]
    assert [(folder / file).read_text() for file in ("command", "exit", "log")] == [
        "echo one; exit 7\n",
        "7\n",
        "one\n",
    ]
    assert len((folder / "pid").read_text().split()) == 2


ACTIONS = {
    RemoteCommand(host="a", command="x"): "on a: x",
    DetachedJob(host="a", command="x", timeout=timedelta()): "on a, detached: x",
    SqlQuery(database="master", name="size", statement="SELECT 1"): "SQL on master: size",
    HttpGet(url="http://x/"): "GET http://x/",
    DnsLookup(names=("x", "y")): "DNS: x, y",
    StoreTrial(folder="f"): "store: write into f and read back",
    SnapshotList(instance="i-0"): "EC2: snapshots of the volumes of i-0",
    SnapshotTrial(instance="i-0"): "EC2: would it take snapshots of i-0?",
    InstanceSize(instance="i-0"): "EC2: type and state of i-0",
    ResizeTrial(instance="i-0", type="t3.small"): "EC2: would it make i-0 t3.small?",
    ZoneRecords(zone="Z1", names=("x",)): "Route 53: x in zone Z1",
}


def test_actions_are_described_in_the_plan_of_a_journal_as_ever() -> None:
    """Other words for the same act would have a person agree to a plan that has not changed."""
    assert {str(action): text for action, text in ACTIONS.items()} == {text: text for text in ACTIONS.values()}
    taking = TakeSnapshots(host="a", instance="i-0", tags={}, timeout=timedelta())
    moving = MoveNames(host="a", zone="Z1", targets={"x": "y"}, ttl=60, timeout=timedelta())
    resizing = ResizeInstance(host="a", instance="i-0", type="t3.small", timeout=timedelta())
    assert str(resizing) == "EC2: stop i-0, make it t3.small, and start it"
    assert str(taking) == "EC2: take snapshots of every volume of i-0"
    assert str(moving) == "Route 53: in zone Z1 upsert CNAME x to y (TTL 60 s)"


def test_a_plan_is_described_and_digested_as_ever() -> None:
    check = Check(title="it answers", looks=(HttpGet(url="http://x/"),), judge=lambda outputs, facts: holds("yes"))
    by_command = HostTask(host="a", checks=(check,), action=RemoteCommand(host="a", command="x"), needs=(check,))
    by_hand = HostTask(host="b", checks=(check,), instructions="Push the button.")
    step = Step(key="lift.stop", title="Stop it", mark=Mark.MANUAL, tasks=(by_command, by_hand))
    plan = Plan(
        title="P",
        environment="e",
        date="2014-08-15",
        resume="inv go-on",
        approve="inv approve",
        steps=numbered([step]),
        invariants=(check,),
    )

    assert plan.lines == [
        "lift.stop Stop it",
        "a: on a: x",
        "needs it answers (GET http://x/)",
        "it answers (GET http://x/)",
        "b: Push the button.",
        "it answers (GET http://x/)",
        "it answers (GET http://x/)",
        "inv approve",
    ]
    assert plan.digest == "e74974324f46"


def test_a_webhook_is_notified_of_what_is_not_an_event_in_these_words() -> None:
    assert [WAITING, POINT] == ["waiting", "point of no return"]


def test_snapshots_carry_these_tags() -> None:
    instances = {f"db-{name}": f"i-{name}" for name in ("master", "shard-1", "shard-2", "shard-3", "shard-4")}
    plan = night_plan(replace(rehearsal(), aws=Aws(instances=instances)))
    taking = plan.step("snapshots.create").tasks[0].action

    assert isinstance(taking, TakeSnapshots)
    assert taking.tags == {
        "Name": "db-master",
        "environment": "rehearsal",
        "night": "2014-08-15",
        "database": "master",
    }


def test_a_backup_is_read_in_these_words(tmp_path: Path) -> None:
    folder = tmp_path / "master/20140815T221500.000000Z"
    (folder / "data").mkdir(parents=True)
    (folder / "data/base").write_text("b")
    (folder / "backup.json").write_text(
        '{"way": "dump", "database": "master", "as_of": "2014-08-15T22:15:00+00:00",'
        ' "files": [{"path": "data/base", "size": 1, "sha256": "79ad"}], "empty": ["data/none"]}'
    )
    found = newest(Database(name="master", host="db-master", backup_directory=str(tmp_path)))
    assert found is not None
    told = found.to_json()

    assert [(file.path, file.size, file.sha256) for file in found.files] == [("data/base", 1, "79ad")]
    assert list(told) == ["path", "sha256", "finished_at", "verified"]
    assert (told["path"], told["finished_at"]) == (str(folder), "2014-08-15T22:15:00+00:00")

"""Preconditions of a night: each judge as a table, every problem at once, and nothing begun."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from datetime import UTC, datetime, time

import pytest

from errors import ExitCode, RefusedError
from inventory.model import Environment
from runbooks.engine.model.actions import ProbeOutput
from runbooks.engine.model.history import Facts, History
from runbooks.engine.model.journal import Kind
from runbooks.engine.model.preconditions import Finding, Precondition, all_night
from runbooks.engine.model.probe_output import Unreadable
from runbooks.engine.model.step import Truth, fails, unseen
from runbooks.engine.run import preflight
from runbooks.engine.run.runner import StepFailed
from tests.fakes import EVENING, NIGHT, FakeNight, night_plan, rehearsal, unreachable

HOLDS, FAILS, UNSEEN = Truth.HOLDS, Truth.FAILS, Truth.UNSEEN
DF = "Filesystem 1024-blocks Used Available Capacity Mounted on\n"
OLD_FARM, NEW_FARM = ("warehouse-old.farm.ttm.com", "10.0.0.1"), ("warehouse-new.farm.ttm.com", "10.0.0.2")
NAME = "warehouse.ttm.com"


@pytest.fixture
def fake_night() -> FakeNight:
    return FakeNight()


def equipped(**keys: object) -> Environment:
    """Return the rehearsal with more settings of master, and a window."""
    environment = rehearsal()
    master = replace(environment.databases["master"], **keys)  # type: ignore[arg-type]
    night = replace(environment.nights[NIGHT], ends=time(6))
    databases = {**environment.databases, "master": master}
    return replace(environment, databases=databases, nights={NIGHT: night})


def precondition(subject: str, title: str, environment: Environment | None = None) -> Precondition:
    """Return the precondition of that subject whose title contains these words."""
    (found,) = (
        each
        for one in night_plan(environment).preflight
        if one.name == subject
        for each in one.preconditions
        if title in each.check.title
    )
    return found


def judged(which: Precondition, *outputs: ProbeOutput, now: datetime = EVENING) -> tuple[Truth, str]:
    try:
        verdict = which.check.judge(outputs, Facts(now=now, history=History()))
    except Unreadable as error:
        return UNSEEN, str(error)
    return verdict.truth, verdict.proof


@pytest.mark.parametrize(
    ("subject", "title", "output", "truth", "sentence"),
    [
        ("debug", "is the right host", ProbeOutput(text="debug\n"), HOLDS, "reached, calls itself 'debug'"),
        (
            "debug",
            "is the right host",
            ProbeOutput(text="control\n"),
            FAILS,
            "calls itself 'control', expected 'debug'",
        ),
        ("debug", "is the right host", ProbeOutput(code=1, error="No such file"), FAILS, "exited 1: No such file"),
        ("debug", "clock", ProbeOutput(text=f"{EVENING.timestamp() - 30:.0f}"), HOLDS, "its clock is 30 s behind ours"),
        (
            "debug",
            "clock",
            ProbeOutput(text=f"{EVENING.timestamp() + 31:.0f}"),
            FAILS,
            "its clock is 31 s ahead of ours",
        ),
        ("debug", "clock", ProbeOutput(text="soon"), UNSEEN, "expected seconds since 1970, got 'soon'"),
        ("debug", "catalog", ProbeOutput(text="5 tables\nIt knows all.\n"), HOLDS, "It knows all."),
        (
            "debug",
            "half moved",
            ProbeOutput(text="shard_1\nNo school is half moved.\n"),
            HOLDS,
            "No school is half moved.",
        ),
        ("debug", "half moved", ProbeOutput(code=10, error="school 9 is half moved"), FAILS, "school 9 is half moved"),
        ("debug", "catalog", ProbeOutput(code=10, error="unknown:\n  - pets"), FAILS, "unknown:;   - pets"),
        ("master on db-master", "system identifier", ProbeOutput(rows=((7, False, 180_006),)), HOLDS, "18.6"),
        (
            "master on db-master",
            "system identifier",
            ProbeOutput(rows=((8, False, 180_006),)),
            FAILS,
            "is 8, expected 7",
        ),
        (
            "master on db-master",
            "system identifier",
            ProbeOutput(rows=((7, True, 180_006),)),
            FAILS,
            "it is in recovery",
        ),
        (
            "master on db-master",
            "system identifier",
            ProbeOutput(rows=((7, False, 120_022),)),
            FAILS,
            "12.22, expected 13",
        ),
        (
            "master on db-master",
            "system identifier",
            ProbeOutput(rows=((7, False, 190_000),)),
            FAILS,
            "19.0, expected 13",
        ),
        ("master on db-master", "standby", ProbeOutput(rows=()), FAILS, "no standby streams"),
        (
            "master on db-master",
            "slot",
            ProbeOutput(rows=(("gone", 5_000_000),)),
            FAILS,
            "gone (retains 5.0 MB of WAL)",
        ),
        ("master on db-master", "slot", ProbeOutput(rows=(("new", None),)), FAILS, "new (retains no WAL)"),
        ("master on db-master", "counted", ProbeOutput(rows=(("off",),)), FAILS, "track_counts is off"),
        ("master on db-master", "counted", ProbeOutput(rows=(("on",),)), HOLDS, "track_counts is on"),
        ("master on db-master", "prepared", ProbeOutput(rows=(("tx1", "billing"),)), FAILS, "waiting: tx1 of billing"),
        (
            "master on db-master",
            "no transaction older",
            ProbeOutput(rows=((True, 4711, "billing", "psql", 7260),)),
            FAILS,
            "pid 4711 of billing (psql) for 2 h 1 min",
        ),
        (
            "master on db-master",
            "no transaction older",
            ProbeOutput(rows=((False, None, None, None, None),)),
            UNSEEN,
            "not a member of pg_read_all_stats",
        ),
        (
            "store",
            "written and read",
            ProbeOutput(code=1, text="preflight/1"),
            FAILS,
            "preflight/1 was read back with different content",
        ),
        ("DNS", "and warehouse.ttm.com", ProbeOutput(rows=((NAME, "10.0.0.2"), OLD_FARM, NEW_FARM)), HOLDS, "10.0.0.2"),
        (
            "DNS",
            "and warehouse.ttm.com",
            ProbeOutput(rows=((NAME, "9.9.9.9"), OLD_FARM, NEW_FARM)),
            FAILS,
            "is 9.9.9.9",
        ),
        (
            "DNS",
            "and warehouse.ttm.com",
            ProbeOutput(rows=(OLD_FARM, NEW_FARM)),
            FAILS,
            "is unknown, expected 10.0.0.1",
        ),
        ("DNS", "and warehouse.ttm.com", ProbeOutput(rows=((NAME, "10.0.0.1"), OLD_FARM)), FAILS, "does not resolve"),
        (
            "DNS",
            "com resolves as",
            ProbeOutput(rows=((NAME, "10.0.0.2"), OLD_FARM)),
            FAILS,
            "2, expected 10.0.0.1",
        ),
    ],
)
def test_a_wrong_output_is_reported_in_its_sentence(
    subject: str, title: str, output: ProbeOutput, truth: Truth, sentence: str
) -> None:
    which = precondition(subject, title, equipped(system_identifier=7))

    found, said = judged(which, output)

    assert found is truth
    assert sentence in said


@pytest.mark.parametrize(
    ("df", "truth", "sentence"),
    [
        # kB free; VACUUM FULL needs 3 GB, a backup 9 GB.
        (
            "/dev/sda 99 9 12000000 1% /",
            HOLDS,
            "12 GB free on /, needed 3.0 GB for VACUUM FULL and 9.0 GB for a",
        ),
        ("/dev/sda 99 9 11000000 1% /", FAILS, "11 GB free on /"),
        ("/dev/sda 99 9 3000000 1% /data\n/dev/sdb 99 9 9000000 1% /my disk", HOLDS, "free on /my disk, needed 9.0 GB"),
        (
            "/dev/sda 99 9 2000000 1% /data\n/dev/sdb 99 9 9000000 1% /my disk",
            FAILS,
            "2.0 GB free on /data, needed",
        ),
        ("/dev/sda 99 9 -5 101% /", FAILS, "0 B free on /"),
        ("df: /data: no such directory", UNSEEN, "df exited 1"),
    ],
)
def test_a_backup_and_a_vacuum_on_one_disk_need_room_together(df: str, truth: Truth, sentence: str) -> None:
    environment = equipped(data_directory="/data", backup_directory="/my disk/backups")
    which = precondition("db-master", "free disk", environment)
    lines = df.splitlines() * (2 if df.endswith("/") else 1)
    sizes = ProbeOutput(rows=((3_000_000_000, 9_000_000_000),))

    found, said = judged(which, sizes, ProbeOutput(code=0 if "%" in df else 1, text=DF + "\n".join(lines)))

    assert (found, sentence in said) == (truth, True), said
    assert str(which.check.looks[1]) == "on db-master: df -Pk /data '/my disk/backups'"


def test_a_disk_that_the_inventory_does_not_name_is_a_warning() -> None:
    none = precondition("db-master", "free disk", equipped())
    one = precondition("db-master", "free disk", equipped(data_directory="/data"))
    plenty = (ProbeOutput(rows=((3, 9),)), ProbeOutput(text=f"{DF}/dev/sda 99 9 9999 1% /"))

    assert judged(none) == (UNSEEN, "the inventory does not say data_directory and backup_directory")
    assert judged(one, *plenty)[0] is UNSEEN
    assert judged(one, *plenty)[1].endswith("for VACUUM FULL; the inventory does not say backup_directory")
    assert not Finding(subject="db-master", precondition=none, verdict=unseen("")).stops


@pytest.mark.parametrize(("seconds", "truth"), [(600, HOLDS), (12_000, FAILS)])
def test_a_night_must_fit_into_its_window_until_the_product_is_open_again(seconds: float, truth: Truth) -> None:
    which = precondition("debug", "fits until 06:00", equipped())
    late = datetime(2014, 8, 16, 4, tzinfo=UTC)  # midnight in New York

    found, said = judged(which, ProbeOutput(text=json.dumps({"together": seconds})), now=late)

    assert found is truth
    assert said.endswith("and 6 h until the window closes at 06:00")
    assert judged(which, ProbeOutput(code=2, error="no records"))[0] is UNSEEN


@pytest.mark.parametrize(
    ("subject", "title", "failing", "unseeing"),
    [
        ("debug", "is the right host", True, True),
        ("master on db-master", "primary", True, True),
        ("db-master", "free disk", True, False),
        ("debug", "fits", True, False),
        ("master on db-master", "no transaction older", False, True),
        ("app", "200", True, True),
    ],
)
def test_a_problem_stops_and_a_warning_does_not(subject: str, title: str, failing: bool, unseeing: bool) -> None:
    which = precondition(subject, title, equipped())
    found = [Finding(subject=subject, precondition=which, verdict=verdict("so")) for verdict in (fails, unseen)]

    assert [finding.stops for finding in found] == [failing, unseeing]
    assert [finding.warns for finding in found] == [not failing, not unseeing]


def test_every_problem_is_reported_at_once_and_nothing_is_begun(fake_night: FakeNight) -> None:
    production = fake_night.production
    production.broken["db-shard-3: cat ~/.inventory-host"] = unreachable
    production.broken["control: date -u +%s"] = lambda: ProbeOutput(text="0")
    production.answers["shard_1: system identifier, recovery, version"] = ((7001, True, 180_001),)
    production.standby["db-shard-2"] = False
    production.names[NAME] = "10.0.0.2"

    with pytest.raises(RefusedError) as refused:
        preflight.require(fake_night.context, fake_night.plan.preflight)

    head, *problems = str(refused.value).splitlines()
    assert head == "Cutover of 2014-08-15 in rehearsal can't go ahead; nothing was done:"
    assert [problem.split(":")[0] for problem in problems] == [
        "  - control",
        "  - db-shard-3",
        "  - shard_1 on db-shard-1",
        "  - shard_2 on db-shard-2",
    ]
    assert "no route to host" in problems[1]
    assert "it is in recovery" in problems[2]
    assert [line for line in fake_night.screen.lines if "The night would move" in line]
    assert refused.value.exit_code is ExitCode.FAILED
    assert (fake_night.journal.events, production.acts) == ((), [])


def test_a_night_without_problems_begins(fake_night: FakeNight) -> None:
    preflight.require(fake_night.context, fake_night.plan.preflight)

    disks = [line for line in fake_night.screen.lines if line.startswith("! db-")]
    assert len(disks) == 5  # the inventory of a rehearsal that is down does not say where they are
    assert fake_night.screen.lines[-1] == "Preflight: 75 of 80 preconditions hold, 5 warnings."
    assert next(iter(fake_night.object_store.texts)).startswith("preflight/")


def test_nothing_more_is_asked_of_an_unreachable_subject(fake_night: FakeNight) -> None:
    fake_night.production.broken["debug: cat ~/.inventory-host"] = unreachable

    findings = preflight.examine(fake_night.plan.preflight, fake_night.executor, fake_night.context.facts)

    assert [str(finding).split(":")[0] for finding in findings].count("debug") == 1


def test_a_hanging_host_does_not_delay_the_others(fake_night: FakeNight) -> None:
    others = threading.Event()

    def hangs() -> ProbeOutput:
        assert others.wait(30), "the last host was not looked at while the first one hung"
        return ProbeOutput(text="control")

    def last() -> ProbeOutput:
        others.set()
        return ProbeOutput(text="db-shard-4")

    fake_night.production.broken["control: cat ~/.inventory-host"] = hangs
    fake_night.production.broken["db-shard-4: cat ~/.inventory-host"] = last

    preflight.require(fake_night.context, fake_night.plan.preflight)


def test_a_resume_asks_only_for_what_the_night_itself_leaves_true(fake_night: FakeNight) -> None:
    production = fake_night.production
    production.maintenance, production.names[NAME] = True, "10.0.0.2"
    production.standby.update(dict.fromkeys(production.standby, False))
    lasting = all_night(fake_night.plan.preflight)

    preflight.require(fake_night.context, lasting)

    assert len(lasting) == 10 + 5
    hosts, servers = lasting[:10], lasting[10:]
    assert all("its clock is at most 30 s off" in str(subject.preconditions[1:]) for subject in hosts)
    assert [len(subject.preconditions) for subject in servers] == [1] * 5
    production.broken["watcher: cat ~/.inventory-host"] = unreachable
    preflight.require(fake_night.context, lasting)
    assert any(line.startswith("! watcher: ") and "no route to host" in line for line in fake_night.screen.lines)
    production.answers["shard_4: system identifier, recovery, version"] = ((7001, True, 180_001),)
    with pytest.raises(RefusedError, match="shard_4 on db-shard-4: it is in recovery"):
        preflight.require(fake_night.context, lasting)


def test_vacuum_is_refused_by_name_while_a_transaction_is_in_its_way(fake_night: FakeNight) -> None:
    answers, query = fake_night.production.answers, "shard_2: prepared transactions"
    answers[query] = (("tx1", "billing"),)

    with pytest.raises(
        StepFailed, match="db-shard-2: failed: not begun: prepared transactions are waiting: tx1 of billing"
    ):
        fake_night.run()

    vacuumed = [act for act in fake_night.production.acts if "databases.vacuum" in act]
    assert len(vacuumed) == 4
    assert not [act for act in vacuumed if act.startswith("db-shard-2")]
    del answers[query]
    fake_night.run()
    assert fake_night.outcomes()["vacuum.full db-shard-2"] == "done"


def test_a_running_vacuum_is_resumed_though_it_is_an_old_transaction_itself(
    fake_night: FakeNight,
) -> None:
    def interrupt(key: str) -> None:
        if key == "vacuum.full":
            raise KeyboardInterrupt

    fake_night.screen.at_step = interrupt
    with pytest.raises(KeyboardInterrupt):
        fake_night.run()
    fake_night.screen.at_step = lambda key: None
    fake_night.journal.append(Kind.INTENT, step="vacuum.full", host="db-master", what="inv", owes=None)
    fake_night.production.answers["master: open transactions"] = ((True, 7, "apangea", "databases.vacuum", 900),)

    fake_night.run()

    assert fake_night.outcomes()["vacuum.full db-master"] == "done"


@pytest.mark.parametrize("production", [True, False])
@pytest.mark.parametrize("unencrypted", [None, "the bucket encrypts"])
def test_a_production_without_recipients_begins_only_with_a_reason(production: bool, unencrypted: str | None) -> None:
    store = replace(rehearsal().store, unencrypted=unencrypted)
    plan = night_plan(replace(rehearsal(), production=production, store=store))
    [archives] = [subject for subject in plan.preflight if subject.name == "archives"]
    [precondition] = archives.preconditions

    verdict = precondition.check.judge((), FakeNight(plan=plan).context.facts())

    assert verdict.holds == (not production or unencrypted is not None)
    assert verdict.proof == "Archives are not encrypted" + (f": {unencrypted}" if unencrypted else "")
    assert f"{verdict.proof}." in plan.lines

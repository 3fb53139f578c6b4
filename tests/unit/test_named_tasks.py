"""A command line imports what holds the task that it names, and still finds every task."""

from __future__ import annotations

import subprocess
import sys

import pytest
from invoke.collection import Collection

import tasks
from inventory.load import ROOT

HEAVY = ("fabric", "boto3", "dns", "celery", "runbooks.steps.context", "archiver.runs.archive_many")


@pytest.mark.parametrize("name", sorted(tasks.namespace.task_names))
def test_every_task_is_found_by_its_name_alone(name: str) -> None:
    found = Collection(*tasks.named_collections([name, "--env=production"]))

    assert found[name] is tasks.namespace[name]


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--list"],
        ["archive.audit", "shards.show"],
        ["archive.audit", "--state", "x.y"],
        ["archvie.audit"],
        ["warehouse.stop-etl"],
        ["tests/unit/test_named_tasks.py"],
    ],
    ids=" ".join,
)
def test_all_tasks_are_there_where_it_is_not_certain_which_one_is_meant(words: list[str]) -> None:
    assert set(Collection(*tasks.named_collections(words)).task_names) == set(tasks.namespace.task_names)


@pytest.mark.parametrize("name", ["archive.scope", "archive.audit", "databases.vacuum"])
def test_a_task_that_a_night_asks_for_starts_without_what_it_does_not_need(name: str) -> None:
    code = f"import sys, tasks; print(*(name for name in {HEAVY} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code, name], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.split() == []

"""Running holders of an environment: a process that cannot be seen from this machine is not a dead one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import pytest

from errors import LockedError
from inventory.load import ROOT
from runbooks.engine.live.lock import Holder, claimant, claimed
from runbooks.night import files
from tests.fakes import FakeObjectStore

NOTE = "lock/00000001"
ELSEWHERE = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
PROGRAM = """
import sys
from runbooks.night.files import myself
print(myself("running the night").to_json(), flush=True)
sys.stdin.read()
"""


def is_at_work(object_store: FakeObjectStore) -> bool:
    """True if another run holds the environment, for readers and for a new run alike."""
    me = files.myself("running the night")
    if not claimant(object_store, me):
        return False
    with pytest.raises(LockedError), claimed(object_store, me, take_over="resume --take-over"):
        pass
    return True


def allows_namespaces() -> bool:
    """True if this machine lets us make namespaces, as a container often does not."""
    found = shutil.which("unshare")
    return bool(found) and subprocess.run([*ELSEWHERE, "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture
def note_from_elsewhere() -> Iterator[str]:
    """The note of a living process of this machine in a PID namespace of its own, as in a container."""
    if not allows_namespaces():
        pytest.skip("no namespaces here")
    words = [*ELSEWHERE, sys.executable, "-c", PROGRAM]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        yield process.stdout.readline()
        process.stdin.close()


def test_a_holder_in_another_namespace_of_this_machine_is_at_work(note_from_elsewhere: str) -> None:
    object_store = FakeObjectStore()
    object_store.put_new(NOTE, note_from_elsewhere)

    assert is_at_work(object_store)


def test_a_holder_on_another_machine_of_the_same_name_is_at_work() -> None:
    object_store, me = FakeObjectStore(), files.myself("running the night")
    object_store.put_new(NOTE, booted_elsewhere(me).to_json())

    assert is_at_work(object_store)


def booted_elsewhere(me: Holder) -> Holder:
    """The same holder on a machine that began at another time."""
    _, *rest = me.born.split()
    return replace(me, born=" ".join(["0f5ee9a2-another-boot", *rest]))


def test_a_holder_that_died_in_our_own_namespace_is_not_at_work() -> None:
    object_store = FakeObjectStore()
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        object_store.put_new(NOTE, process.stdout.readline())
    process.wait()

    assert not is_at_work(object_store)

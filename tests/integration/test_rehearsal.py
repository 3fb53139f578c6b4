"""The lab's life: two starts at once, crashes, kills, and nothing left of it in the end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from errors import UsageError
from inventory.load import FOLDER, ROOT, load_file
from rehearsal import blueprint, lab, layout
from rehearsal.layout import MARK, Layout
from rehearsal.waiting import await_condition
from tests.labs import runs

UP = "import sys; from pathlib import Path; from rehearsal import lab; print(lab.up(Path(sys.argv[1])).to_json())"


def test_the_home_is_where_the_inventory_looks_for_the_overlay() -> None:
    overlay = load_file(FOLDER / "rehearsal.yaml").overlay

    assert overlay is not None
    assert (overlay.home, overlay.variable) == (layout.DEFAULT_HOME, layout.VARIABLE)
    assert Layout(Path()).endpoints.name == overlay.file


def test_a_folder_of_another_user_is_untouched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")

    for act in (lab.up, lab.down):
        with pytest.raises(UsageError, match="not the folder of a rehearsal"):
            act(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_two_ups_at_once_a_crash_and_a_down() -> None:
    # Given a folder that other users can't enter, as a checkout may lie in,
    private = Path(tempfile.mkdtemp(prefix="private-"))
    home = private / "lab"

    # when two start it at the same moment, both get the same lab.
    begun = [begin_up(home) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in begun]
    assert [process.returncode for process in begun] == [0, 0], said
    assert said[0][0] == said[1][0]

    # When a server and the SSH server crash, status says so and `up` starts it all anew.
    made = blueprint.load(home)
    pids = [int((made.primary(made.databases[2]).data / "postmaster.pid").read_text().split()[0])]
    pids.append(int(made.daemon("ssh").pid_file.read_text()))
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    await_condition(lambda: not any(map(runs, pids)), doing="Crashing", seconds=10)
    assert {"db-shard-2", "ssh control", "ssh db-master"} <= set(lab.look(home).down)
    with pytest.raises(UsageError, match="db-shard-2"):
        lab.known_endpoints(home)
    lab.up(home, schools=lab.FEWEST_SCHOOLS)
    assert lab.look(home).healthy

    # When a job that a host started is at work, `down` ends that too.
    made = blueprint.load(home)
    lonely = subprocess.Popen(["sleep", "600"], env={MARK: str(home)}, start_new_session=True)
    elsewhere, sockets = Path(made.postgres), made.store.sockets()
    lab.down(home)
    assert lonely.wait(timeout=10) == -signal.SIGKILL
    assert nothing_left(home, elsewhere, *sockets)
    lab.down(home)
    assert [path.name for path in private.iterdir()] == []
    private.rmdir()


@pytest.mark.parametrize(
    "moment",
    [
        lambda home: (home / "lab.json").exists(),
        lambda home: any(home.glob("postgres/*/data/global")),
        lambda home: any(home.glob("postgres/db-*/data/postmaster.pid")),
        lambda home: any(home.glob("postgres/*-standby")),
    ],
    ids=["laid out", "creating", "starting", "cloning"],
)
def test_nothing_is_left_when_up_is_killed_in_the_middle(moment: Callable[[Path], bool]) -> None:
    home = Path(tempfile.mkdtemp(prefix="lab-"))
    process = begin_up(home)
    await_condition(lambda: moment(home), doing="Starting", seconds=60)
    process.kill()
    process.communicate()
    assert not lab.look(home).healthy

    lab.down(home)

    assert nothing_left(home)


def begin_up(home: Path) -> subprocess.Popen[str]:
    """`up` in a process of its own."""
    command, pipe = [sys.executable, "-c", UP, str(home)], subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, stdout=pipe, stderr=pipe, text=True)


def nothing_left(home: Path, *places: Path) -> bool:
    """True if no file and no process is left: checked in another way than `down` does."""
    assert [path for path in (home, *places) if path.exists()] == []
    assert [
        entry for entry in Path("/proc").iterdir() if entry.name.isdigit() and speaks_of(entry, (home, *places))
    ] == []
    return True


def speaks_of(process: Path, places: Sequence[Path]) -> bool:
    """True if a process's arguments, environment or folder name one of these places."""
    said = b""
    for name in ("cmdline", "environ"):
        with suppress(OSError):
            said += (process / name).read_bytes()
    with suppress(OSError):
        said += bytes((process / "cwd").readlink())
    return any(str(place).encode() in said for place in places) and int(process.name) != os.getpid()

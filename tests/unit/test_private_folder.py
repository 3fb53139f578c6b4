"""A folder under a name that can be guessed is used only if no other user could have put something there."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from errors import UsageError
from inventory.private_folder import private_folder
from runbooks.engine.live.job_scripts import start_script, stop_script
from runbooks.engine.live.lock import Holder, machine_lock
from runbooks.engine.model.actions import RemoteCommand
from runbooks.engine.model.journal import FileJournal, Kind
from tests.unit.test_jobs import ThisMachine


def journal(folder: Path) -> None:
    FileJournal(folder / "journal.jsonl", now=lambda: datetime.now(UTC), operator="ann").append(Kind.BEGAN, run="r")


def lock(folder: Path) -> None:
    with machine_lock(folder / "lock", Holder(who="ann", where="a", pid=1, born="x", what="a run", since="now")):
        pass


USES: dict[str, Callable[[Path], object]] = {"itself": private_folder, "a journal": journal, "a lock": lock}


@pytest.fixture(params=USES)
def use(request: pytest.FixtureRequest) -> Callable[[Path], object]:
    return USES[request.param]


def mode(path: Path) -> int:
    return path.lstat().st_mode & 0o777


def test_a_new_folder_is_this_users_alone_whatever_the_umask(tmp_path: Path, use: Callable[[Path], object]) -> None:
    before = os.umask(0)
    try:
        (tmp_path / "above").mkdir(mode=0o755)
        use(tmp_path / "above" / "folder")
    finally:
        os.umask(before)
    assert mode(tmp_path / "above" / "folder") == 0o700


def test_a_folder_that_others_could_read_is_closed(tmp_path: Path, use: Callable[[Path], object]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o755)

    use(tmp_path / "folder")

    assert mode(tmp_path / "folder") == 0o700


def test_a_folder_that_others_may_write_to_is_refused(tmp_path: Path, use: Callable[[Path], object]) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder").chmod(0o777)

    with pytest.raises(UsageError, match="every user may write to"):
        use(tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


def test_a_folder_above_which_others_may_replace_is_refused(tmp_path: Path, use: Callable[[Path], object]) -> None:
    (tmp_path / "open" / "above").mkdir(parents=True)
    (tmp_path / "open").chmod(0o777)

    with pytest.raises(UsageError, match=f"every user may write to {tmp_path / 'open'}"):
        use(tmp_path / "open" / "above" / "folder")


def test_in_a_folder_for_all_with_the_sticky_bit_it_is_made(tmp_path: Path, use: Callable[[Path], object]) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "tmp").chmod(0o1777)

    use(tmp_path / "tmp" / "folder")

    assert mode(tmp_path / "tmp" / "folder") == 0o700


def test_a_link_is_refused(tmp_path: Path, use: Callable[[Path], object]) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "folder").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(UsageError, match="it is a link"):
        use(tmp_path / "folder")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_another_users_folder_is_refused(
    tmp_path: Path, use: Callable[[Path], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "folder").mkdir(mode=0o700)
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)

    with pytest.raises(UsageError, match="it belongs to another user"):
        use(tmp_path / "folder")
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.parametrize("folder", ["jobs/x.1", "jobs"])
@pytest.mark.parametrize("script", [start_script("x.1", "true", {}), stop_script("x.1")], ids=["start", "stop"])
def test_a_jobs_command_is_not_written_where_others_could_replace_it(tmp_path: Path, folder: str, script: str) -> None:
    (tmp_path / ".cutover" / "jobs" / "x.1").mkdir(parents=True)
    (tmp_path / ".cutover" / folder).chmod(0o777)

    with closing(ThisMachine(tmp_path)) as machine:
        output = machine.run(RemoteCommand(host="here", command=script))

    assert output.code == 1
    assert "no folder of this user alone" in output.error
    assert list((tmp_path / ".cutover" / "jobs" / "x.1").iterdir()) == []


@pytest.mark.parametrize("number", [errno.EROFS, errno.EDQUOT], ids=["read-only", "quota"])
def test_a_folder_that_the_disk_refuses_is_an_error_in_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(path: Path, **options: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UsageError, match=os.strerror(number)):
        private_folder(tmp_path / "new")

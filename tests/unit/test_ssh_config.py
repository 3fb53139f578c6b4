"""The user's ~/.ssh/config is not followed, and what it has for a host is told where connecting to the host fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from runbooks.engine.live.ssh_config import unread

TEXT = """
IdentityFile ~/.ssh/before-any-host
Host db-*
  HostName 10.0.0.7
  user=deploy
  ForwardAgent yes
Host web !db-master
  Port 2222
Match host db-master exec "touch /nowhere"
  ProxyCommand nc %h %p
Host *
  ProxyJump bastion
"""


@pytest.mark.parametrize(
    ("host", "words"),
    [("db-master", ["HostName", "User", "ProxyJump"]), ("web", ["Port", "ProxyJump"]), ("watcher", ["ProxyJump"])],
)
def test_the_words_for_a_host_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str, words: list[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert unread(host, "10.0.0.1") == ""

    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh/config").write_bytes(b"# B\xfcro\r\n" + TEXT.encode())

    assert f"has {', '.join(words)} for it and is not read" in unread(host, "10.0.0.1")

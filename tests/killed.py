"""A process that ends between two COMMITs of one deletion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from archiver.postgres.session import Session
from errors import CutoverError


def killed(*words: object, **named: object) -> None:
    """Raise CutoverError, in place of the process's end."""
    raise CutoverError("killed")


@contextmanager
def before_master_commits(
    monkeypatch: pytest.MonkeyPatch, end: Callable[..., None] = killed, act: str = "deleting in master for"
) -> Iterator[None]:
    """Let a deletion of one tenant in the block end after its shard has committed, and before master does."""
    commit = Session.commit

    def ended(session: Session, *, doing: str) -> None:
        if doing.startswith(act):
            end()
        commit(session, doing=doing)

    with monkeypatch.context() as patch:
        patch.setattr(Session, "commit", ended)
        yield

"""The trial of a store: a second, different text must not replace the first one at its key."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress

from errors import CutoverError, RefusedError

TRIALS = "trials/"  # the prefix of objects that exist for a moment


def prove_conditional(
    where: str, put: Callable[[str, str], bool], text: Callable[[str], str | None], delete: Callable[[str], None]
) -> None:
    """Try the store at `where` by its requests on a key; `put` returns False if another text exists there.

    Raises RefusedError if the store ignores If-None-Match, CutoverError if it gives back another text.
    """
    key = f"{TRIALS}{secrets.token_hex(8)}"
    try:
        stored, replaced = put(key, "first"), put(key, "second")
        retained = text(key)
    finally:
        with suppress(CutoverError):  # some credentials may not delete
            delete(key)
    if replaced or retained == "second":
        raise RefusedError(
            f"Storing under {where} refused: the store ignores If-None-Match, so an object may replace another.",
            hint="Archives need a store with conditional puts. Is store/endpoint in the inventory the right one?",
        )
    if not stored or retained != "first":
        raise CutoverError(f"Storing under {where} failed: a text was read back with different content.")

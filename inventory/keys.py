"""The key of a tenant: a whole number, a text (such as a uuid), or several of them where its table has such a key."""

from __future__ import annotations

import json

Key = int | str | tuple[int | str, ...]


def key_text(key: Key) -> str:
    """Return a key as the archiver's own tables keep it, in JSON: `13`, `"0042"`, `[2013,"0042"]`."""
    return json.dumps(key, ensure_ascii=False, separators=(",", ":"))


def key_of_text(text: str) -> Key:
    """Return the key that `key_text` wrote; raise ValueError if the text is none."""
    value = json.loads(text)
    parts = value if isinstance(value, list) else [value]
    # type() and not isinstance: true is an int, too
    if not parts or any(type(part) not in (int, str) for part in parts):
        raise ValueError(f"expected a whole number, a text, or a list of them, got {text}")
    return tuple(value) if isinstance(value, list) else value


def key_label(key: Key) -> str:
    """Return a key as people write it: `13`, `0042`, `2013-0042`; in JSON if a part of several has a dash itself."""
    if not isinstance(key, tuple):
        return str(key)
    parts = [str(part) for part in key]
    return key_text(key) if any("-" in part for part in parts) else "-".join(parts)

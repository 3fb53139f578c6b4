"""The key of a tenant: a whole number, a text (such as a uuid), or several of them where its table has such a key."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from typing import Any


class Parts(tuple[int | str, ...]):
    """The values of a key of several columns, in the order in which the catalog names these."""

    __slots__ = ()

    def __str__(self) -> str:
        """The key as people write it: `2013-0042`; in JSON if that would be read as something else."""
        parts = [str(part) for part in self]
        # An empty first part would begin an option.
        written_as_json = parts[0][:1] in ("", "[", '"') or any("-" in part for part in parts)
        return key_text(self) if written_as_json else "-".join(parts)


Key = int | str | Parts  # str(key) is the key as people write it, in messages and in lists


def key_of(values: Sequence[object]) -> Key:
    """Return the key of these values of its columns: whole numbers as they are, all else as text."""
    parts = Parts(value if isinstance(value, int) and not isinstance(value, bool) else str(value) for value in values)
    return parts[0] if len(parts) == 1 else parts


def key_text(key: Key) -> str:
    """Return a key as the archiver's own tables keep it, in JSON: `13`, `"0042"`, `[2013,"0042"]`."""
    return json.dumps(key, ensure_ascii=False, separators=(",", ":"))


def key_text_or_none(key: Key | None) -> str | None:
    """Return the same for a key that may be missing."""
    return None if key is None else key_text(key)


def key_of_text(text: str) -> Key:
    """Return the key that `key_text` wrote; raise ValueError if the text is none."""
    return key_of_json(json.loads(text))


def key_of_json(value: object) -> Key:
    """Return the key that JSON holds as a number, a text or a list; raise ValueError if it is none."""
    parts: list[Any] = value if isinstance(value, list) else [value]
    # type() and not isinstance: true is an int, too
    if not parts or any(type(part) not in (int, str) for part in parts):
        raise ValueError(f"expected a whole number, a text, or a list of them, got {json.dumps(value)}")
    return Parts(parts) if isinstance(value, list) else key_of(parts)


def word_of_json(value: object) -> str:
    """Return the word for a key that JSON holds as a number, a text or a list."""
    return str(Parts(value) if isinstance(value, list) else value)


def key_said(word: str) -> Key:
    """Return the key that a word says, where no column says its type: a number if it is written as one, else a text."""
    return int(word) if re.fullmatch(r"0|[1-9]\d*", word, re.ASCII) else word


def typed(key: Key) -> str:
    """Return a key as it is typed at a shell, in quotes where that needs them."""
    word = str(key)
    plain = isinstance(key, Parts) or (word and word[0] not in '-"')
    return shlex.quote(word if plain else key_text(word))


def key_order(key: Key) -> tuple[tuple[bool, int | str], ...]:
    """Return what keys are sorted by: part by part, numbers before texts, and numbers by their size."""
    return tuple((isinstance(part, str), part) for part in (key if isinstance(key, Parts) else (key,)))


# A word in a list: a text in JSON's quotation marks, a JSON list of parts, or a key as it is, without what ends a word.
_QUOTED, _PLAIN = r'"(?:[^"\\]|\\.)*"', r'[^\s:",[-][^\s:",]*'
_PARTS = rf'\[(?:{_QUOTED}|[^\]"])*\]'
LISTED = rf"(?:{_QUOTED}|{_PARTS}|{_PLAIN})"
_NEXT = re.compile(rf"\s*({_QUOTED}|{_PARTS}|[^,]*?)\s*(,|\Z)")


def words_of_list(text: str) -> tuple[str, ...]:
    """Return the words of a list with commas between them; one in quotation marks or brackets may have such itself."""
    words, end = [], 0
    while match := _NEXT.match(text, end):
        words.append(match[1])
        end = match.end()
        if not match[2]:
            break
    return tuple(words)


def key_listed(word: str) -> Key:
    """Return the key that a word of a list means, where no column says its type; raise ValueError if it is none."""
    if not re.fullmatch(LISTED, word):
        raise ValueError(f"expected a key, got {word!r}")
    key = key_of_json(json.loads(word)) if word[0] in '["' else key_said(word)
    return Parts(map(str, key)) if isinstance(key, Parts) else key


def listed(key: Key) -> str:
    """Return a key as a list has it, in JSON where it must not be read as something else."""
    word = str(key)
    plain = re.fullmatch(_PLAIN, word) or (isinstance(key, Parts) and word.startswith("["))
    return word if plain else json.dumps(word, ensure_ascii=False)


def words_for(key: Key) -> frozenset[str]:
    """Return the words by which a list may mean a key: it can't tell numbers from texts."""
    return frozenset((str(key), str(Parts(map(str, key))))) if isinstance(key, Parts) else frozenset((str(key),))


def values_of(word: str, number: int) -> tuple[str, ...]:
    """Return the values of so many columns that a typed word means; raise ValueError if it has another number.

    One is the word itself; several are joined by dashes, or a JSON list. A word may be in JSON's quotation marks.
    """
    if word.startswith('"'):
        word = str(key_of_json(json.loads(word)))
        values: list[object] = [word] if number == 1 else list(word.split("-"))
    elif number == 1:
        values = [word]
    else:
        values = json.loads(word) if word.startswith("[") else list(word.split("-"))
    if len(values) != number or any(type(value) not in (int, str) for value in values):
        raise ValueError(f"expected {number} values, got {word!r}")
    return tuple(map(str, values))

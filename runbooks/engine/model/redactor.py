"""Secrets, and how they are kept out of everything that is written down or shown."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any
from urllib.parse import quote

from errors import CutoverError

MASK = "[secret]"
SHORTEST = 6  # characters; a shorter word would be found everywhere
_WORDS = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)"
_NAME = re.compile(rf"(?i){_WORDS}|identity|hook")  # of a variable or a key that holds one
_VALUE = r"""(?P<secret>'[^']*'|"[^"]*"|[^\s'"&,;}]+)"""
# Surely a secret: it is known by its own from there on, wherever it stands.
_SURE = (
    re.compile(rf"(?i)(?P<before>{_WORDS}\w*=){_VALUE}"),
    re.compile(rf"(?i)(?P<before>--(?:[\w-]+-)?{_WORDS}\s+){_VALUE}"),
    re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)(?P<secret>[^\s/@]+)(?=@)"),
    re.compile(r"(?P<before>)(?P<secret>AGE-SECRET-KEY-1\w+)"),
    re.compile(r"(?s)(?P<before>)(?P<secret>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|$))"),
)
# Perhaps only a word behind a colon, so it is taken out where it stands, and nowhere else.
_LIKELY = (
    re.compile(rf"(?i)(?P<before>{_WORDS}\w*['\"]?\s*[=:]\s*){_VALUE}"),
    re.compile(r"(?i)(?P<before>\b(?:bearer|basic)\s+)(?P<secret>[\w.~+/=-]{16,})"),
)


class Redactor:
    """Takes secrets out: those it knows, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._secrets = sorted(known, key=len, reverse=True)

    def clean(self, value: Any) -> Any:
        """The value without secrets, through lists and mappings."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: MASK if _names_one(key, item) else self.clean(item) for key, item in value.items()}
        return [self.clean(item) for item in value] if isinstance(value, list | tuple) else value

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Takes secrets out of the errors that leave the block."""
        try:
            yield
        except CutoverError as error:
            error.args, error.hint = tuple(self.clean(error.args)), self.clean(error.hint)
            raise

    def _text(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        for pattern in (*_SURE, *_LIKELY):
            text = pattern.sub(rf"\g<before>{MASK}", text)
        return text


def redactor_for(*known: object) -> Redactor:
    """One that knows the secrets of this process's variables, and those that some values hold, such as an inventory."""
    return Redactor([*_secrets_in(dict(os.environ)), *_secrets_in(known)])


def _secrets_in(value: object) -> Iterator[str]:
    """What stands where a secret stands, in any depth."""
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, str):
        yield from (found["secret"].strip("'\"") for pattern in _SURE for found in pattern.finditer(value))
    elif isinstance(value, Mapping):
        yield from (str(item) for key, item in value.items() if _names_one(key, item))
        yield from (secret for item in value.values() for secret in _secrets_in(item))
    elif isinstance(value, list | tuple):
        yield from (secret for item in value for secret in _secrets_in(item))


def _names_one(key: object, item: object) -> bool:
    return isinstance(item, str) and bool(_NAME.search(str(key)))


def _forms(secret: str) -> tuple[str, ...]:
    """As it is, in a URL, and on a command line."""
    return secret, quote(secret, safe=""), shlex.quote(secret)

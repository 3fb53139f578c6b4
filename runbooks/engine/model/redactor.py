"""Keeps secrets out of everything that is stored or displayed."""

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
SHORTEST = 6  # characters; a shorter one would match ordinary text
_WORDS = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key)"
_NAME = re.compile(rf"(?i){_WORDS}|identity|hook")  # of a variable or a key that holds a secret
_VALUE = r"""(?P<secret>'[^']*'|"[^"]*"|[^\s'"&,;}]+)"""
# Certainly a secret: from then on its value is masked wherever it occurs.
_SURE = (
    re.compile(rf"(?i)(?P<before>{_WORDS}\w*=){_VALUE}"),
    re.compile(rf"(?i)(?P<before>--(?:[\w-]+-)?{_WORDS}\s+){_VALUE}"),
    re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)(?P<secret>[^\s/@]+)(?=@)"),
    re.compile(r"(?P<before>)(?P<secret>AGE-SECRET-KEY-1\w+)"),
    re.compile(r"(?s)(?P<before>)(?P<secret>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|$))"),
)
# Perhaps only a word after a colon, so it is masked in that position only.
_LIKELY = (
    re.compile(rf"(?i)(?P<before>{_WORDS}\w*['\"]?\s*[=:]\s*){_VALUE}"),
    re.compile(r"(?i)(?P<before>\b(?:bearer|basic)\s+)(?P<secret>[\w.~+/=-]{16,})"),
)


class Redactor:
    """Masks secrets: those it was given, and everything that looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._secrets = sorted(forms, key=len, reverse=True)

    def clean(self, value: Any) -> Any:
        """Return the value with secrets masked, also in nested lists and mappings."""
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            return {key: MASK if _holds_secret(key, item) else self.clean(item) for key, item in value.items()}
        return [self.clean(item) for item in value] if isinstance(value, list | tuple) else value

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Mask secrets in the errors that leave the block."""
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


def redactor_for(*sources: object) -> Redactor:
    """Return a redactor for the secrets in this process's environment variables and in `sources`, e.g. an inventory."""
    return Redactor([*_secrets_in(dict(os.environ)), *_secrets_in(sources)])


def _secrets_in(value: object) -> Iterator[str]:
    """Yield the secrets that a value holds, at any depth."""
    if is_dataclass(value):
        value = vars(value)
    if isinstance(value, str):
        yield from (match["secret"].strip("'\"") for pattern in _SURE for match in pattern.finditer(value))
    elif isinstance(value, Mapping):
        yield from (str(item) for key, item in value.items() if _holds_secret(key, item))
        yield from (secret for item in value.values() for secret in _secrets_in(item))
    elif isinstance(value, list | tuple):
        yield from (secret for item in value for secret in _secrets_in(item))


def _holds_secret(key: object, item: object) -> bool:
    return isinstance(item, str) and bool(_NAME.search(str(key)))


def _forms(secret: str) -> tuple[str, ...]:
    """Return the secret as it is, URL-quoted and shell-quoted."""
    return secret, quote(secret, safe=""), shlex.quote(secret)

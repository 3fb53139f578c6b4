"""Keeps secrets out of everything that is stored or displayed."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import is_dataclass
from typing import Any
from urllib.parse import quote, unquote

from errors import CutoverError
from runbooks.engine.model.secret_shapes import LIKELY, NAMED, SURE, VARIABLE, secrets_of_url

MASK = "[secret]"
SHORTEST = 6  # characters; a shorter one would match ordinary text


class Redactor:
    """Masks secrets: those it was given, and everything that looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets if len(secret) >= SHORTEST for form in _forms(secret)}
        self._secrets = sorted(forms, key=len, reverse=True)

    def clean(self, value: Any) -> Any:
        """Return the value with secrets masked, also in nested lists and mappings; every text can then be written.

        A terminal or a host may send bytes that are no text: Python reads them as surrogates, which no file takes.
        """
        if isinstance(value, str):
            return self._text(value.encode("utf-8", "backslashreplace").decode("utf-8"))
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
        for pattern in (*SURE, *LIKELY):
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
        yield from secrets_of_url(value)
        yield from (_unquoted(match["secret"]) for pattern in SURE for match in pattern.finditer(value))
    elif isinstance(value, Mapping):
        yield from (str(item) for key, item in value.items() if _holds_secret(key, item))
        yield from (secret for item in value.values() for secret in _secrets_in(item))
    elif isinstance(value, list | tuple):
        yield from (secret for item in value for secret in _secrets_in(item))


def _holds_secret(key: object, item: object) -> bool:
    return isinstance(item, str) and bool(NAMED.search(str(key)) or VARIABLE.fullmatch(str(key)))


def _unquoted(secret: str) -> str:
    """Return a secret without its quotes, and without those that escape quotes inside."""
    quote_mark = secret[:1]
    if quote_mark not in ("'", '"'):
        return secret
    return secret.strip(quote_mark).replace(quote_mark * 2, quote_mark).replace(f"\\{quote_mark}", quote_mark)


def _forms(secret: str) -> set[str]:
    """Return the secret as it is, and as a URL, a shell, SQL and JSON write it."""
    plain = {secret, unquote(secret)}
    quoted = {quote(secret, safe=""), shlex.quote(secret), secret.replace("'", "''")}
    return plain | quoted | {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]}

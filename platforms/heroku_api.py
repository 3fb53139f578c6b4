"""Heroku's Platform API, version 3: read the config vars of an app within a minute."""

from __future__ import annotations

import json
import netrc
import os
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from urllib.parse import quote, urlsplit

from errors import CutoverError, UsageError
from inventory.platforms import Heroku

ACCEPT = "application/vnd.heroku+json; version=3"  # Heroku requires it
ANSWER = 10  # timeout of one answer, in seconds
LARGEST = 1 << 20  # bytes of an answer
TRIES = 5
PATIENCE = timedelta(minutes=1)  # total time between the tries
FIRST_PAUSE = timedelta(seconds=1)
NETRC = Path("~/.netrc")  # where `heroku login` writes
LATER = "Try again in a few minutes; Heroku's rate limit recovers by the minute."
Wait = Callable[[timedelta, str], None]  # called with a pause and its reason


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The result of one request."""

    said: str  # its status, or the reason for no answer
    status: int = 0  # 0: no answer
    body: bytes = b""
    pause: timedelta | None = None  # as requested by Heroku

    @property
    def passing(self) -> bool:
        """True if a retry may succeed."""
        return self.status in (0, HTTPStatus.TOO_MANY_REQUESTS) or self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect, so that the token goes to no other address than the inventory's."""

    def redirect_request(self, *request: object) -> None:
        """Return None: the redirect itself is the answer."""


def token_for(heroku: Heroku) -> str:
    """Return the token from the environment variable, else from ~/.netrc; raise UsageError if neither has one."""
    host = urlsplit(heroku.endpoint).hostname or ""
    token = os.environ.get(heroku.variable, "").strip() or _in_netrc(host)
    if not token:
        missing = f"{heroku.variable} is not set, and {NETRC} has no entry for {host}"
        raise UsageError(f"There is no token for Heroku: {missing}.", hint=f"Set {heroku.variable}, or: heroku login")
    return token


def config_vars(heroku: Heroku, token: str, wait: Wait) -> dict[str, str]:
    """Return every config var of the app; raise CutoverError if Heroku refuses, or does not answer within PATIENCE."""
    left, pause = PATIENCE, FIRST_PAUSE
    answer = _ask(heroku, token)
    for _ in range(TRIES - 1):
        asked_for = answer.pause or pause
        if not answer.passing or asked_for > left:
            break
        wait(asked_for, f"Heroku has not returned the config vars of {heroku.app} yet ({answer.said})")
        left, pause = left - asked_for, 2 * pause
        answer = _ask(heroku, token)
    values = _values(answer.body) if answer.status == HTTPStatus.OK else None
    if values is None:
        raise _refused(heroku, answer)
    return values


def retry_after(text: str | None, now: datetime) -> timedelta | None:
    """Return the pause of a Retry-After header, in seconds or as a date (RFC 9110, 10.2.3), at least a second."""
    if text is None:
        return None
    try:
        asked_for = timedelta(seconds=int(text)) if text.strip().isdecimal() else parsedate_to_datetime(text) - now
    except (TypeError, ValueError, OverflowError):
        return None
    return max(asked_for, FIRST_PAUSE)


def _in_netrc(host: str) -> str:
    """Return the password of the host's own entry, never that of `default`; empty if there is none."""
    file = NETRC.expanduser()
    if not file.exists():
        return ""
    try:
        entry = netrc.netrc(str(file)).hosts.get(host)
    except (OSError, netrc.NetrcParseError) as error:
        # The library's message may contain a part of the file.
        raise UsageError(f"Reading {NETRC} failed: {type(error).__name__}.") from None
    return entry[2] if entry else ""


def _ask(heroku: Heroku, token: str) -> Answer:
    url = f"{heroku.endpoint.rstrip('/')}/apps/{quote(heroku.app, safe='')}/config-vars"
    headers = {"Accept": ACCEPT, "Authorization": f"Bearer {token}"}
    try:
        request = urllib.request.Request(url, headers=headers)
        with urllib.request.build_opener(_NoRedirect).open(request, timeout=ANSWER) as response:
            return Answer(said="200", status=response.status, body=response.read(LARGEST))
    except urllib.error.HTTPError as error:
        with error:
            pause = retry_after(error.headers.get("Retry-After"), datetime.now(UTC))
            return Answer(said=f"{error.code} {error.reason}".strip(), status=error.code, pause=pause)
    except (OSError, HTTPException, ValueError) as error:
        # The error of an invalid header quotes the token, so only its type is reported.
        reason = getattr(error, "reason", None) or error
        return Answer(said=str(reason) if isinstance(reason, OSError) else type(reason).__name__)


def _values(body: bytes) -> dict[str, str] | None:
    """Return the config vars; None if the answer has none."""
    try:
        data = json.loads(body)
    except ValueError:
        return None
    return {name: value for name, value in data.items() if isinstance(value, str)} if isinstance(data, dict) else None


def _refused(heroku: Heroku, answer: Answer) -> CutoverError:
    """Return the error for Heroku's answer, with a hint."""
    why, hint = _REASONS.get(answer.status, ("Heroku answered {said}", "Check https://status.heroku.com"))
    tried = f", {TRIES} times" if answer.passing and answer.pause is None else ""
    reason = why.format(said=answer.said, asked=_asked(answer), **vars(heroku))
    return CutoverError(f"Reading the config vars of {heroku.app} failed: {reason}{tried}.", hint=hint)


def _asked(answer: Answer) -> str:
    return f"; it requests a pause of {answer.pause.total_seconds():.0f} s" if answer.pause else ""


_REASONS = {  # by status: why it failed, and what to do
    0: ("{endpoint} could not be reached ({said})", "Check the network, and heroku/endpoint in the inventory."),
    200: ("the answer holds no config vars", "Check heroku/endpoint in the inventory."),
    401: (
        "Heroku rejects the token from {variable} or ~/.netrc ({said}); it may have expired",
        "Create a new one: heroku login, or heroku authorizations:create",
    ),
    403: ("the token may not read them ({said})", "It needs access to the app, and the scope read-protected."),
    404: ("Heroku has no such app ({said})", "Check heroku/app in the inventory."),
    429: (
        f"too many requests of this account ({{said}}{{asked}}, and this tool waits {PATIENCE.seconds} s at most)",
        LATER,
    ),
}

"""The webhook: posts news of a night to a chat or a pager, without holding the night up."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException
from urllib.parse import urlsplit

from inventory.model import Environment, WebAddress
from runbooks.engine.live.background import in_background
from runbooks.engine.model.ports import Notifier
from runbooks.engine.reporting.notifications import NoNotifier

PATIENCE = 5.0  # seconds for an answer
News = Mapping[str, str]


class Webhook:
    """A webhook that takes JSON; it warns once if posting fails."""

    def __init__(self, url: str, warn: Callable[[str], None], what: str = "webhook") -> None:
        self._url = url
        self._warn = warn
        self._what = what  # as the warning calls it
        self._warned = False

    def post(self, every: Sequence[News]) -> None:
        """Post the news, one after the other."""
        for news in every:
            self.arrives(news)

    def arrives(self, news: News) -> bool:
        """Post one piece of news; return whether it was taken."""
        try:
            self._send(json.dumps(news, ensure_ascii=False).encode())
        except (OSError, ValueError, HTTPException) as error:
            self._fail(error)
            return False
        return True

    def _send(self, body: bytes) -> None:
        if not self._url.startswith(("https://", "http://")):  # the library opens files, too
            raise ValueError("it is no web address")
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json; charset=utf-8"})
        opener = urllib.request.build_opener(_NoRedirection)
        with opener.open(request, timeout=PATIENCE):
            pass

    def _fail(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            # The URL may be a secret: show only its host, and no text of the library, which may contain it.
            self._warn(
                f"Posting to the {self._what}{_at(self._url)} failed ({_cause(error)}). The night goes on; there is no "
                "second warning."
            )


class _NoRedirection(urllib.request.HTTPRedirectHandler):
    """Takes a redirection for the error it is: followed, a post becomes a GET, and its words are lost."""

    def redirect_request(self, *asked: object) -> None:
        """Return no request."""


def _cause(error: Exception) -> str:
    if isinstance(error, urllib.error.HTTPError):
        return f"status {error.code}"
    reason = getattr(error, "reason", None)
    return type(reason if isinstance(reason, Exception) else error).__name__


def _at(url: str) -> str:
    """Return the host, as far as the URL has one that can be read."""
    try:
        host = urlsplit(url).hostname
    except ValueError:
        return ""
    return f" at {host}" if host else ""


@dataclass(frozen=True)
class WebhookNotifier:
    """A notifier that posts to the webhook."""

    take: Callable[[News], None]
    about: News  # the fields that every post has

    def notify(self, event: str, text: str, step: str = "") -> None:
        """Queue the message."""
        self.take({"text": text, "event": event, **self.about, "step": step})


@contextmanager
def notifier_of(environment: Environment, date: str, warn: Callable[[str], None]) -> Iterator[Notifier]:
    """Yield the environment's webhook; without one, a notifier that does nothing."""
    url = url_of(environment.webhook, warn, "This night's news is not posted")
    if not url:
        yield NoNotifier()
        return
    with in_background(Webhook(url, warn).post) as take:
        yield WebhookNotifier(take, {"night": date, "environment": environment.name})


def url_of(webhook: WebAddress | None, warn: Callable[[str], None], consequence: str) -> str:
    """Return the URL of a webhook or heartbeat; empty if there is none, with a warning if its variable is not set."""
    if webhook is None:
        return ""
    url = webhook.url or os.environ.get(webhook.variable or "", "")
    if not url:
        warn(f"{consequence}: {webhook.variable} is not set.")
    return url

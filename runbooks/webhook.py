"""The webhook: news of a night for a chat or a pager, sent beside the night, which never waits for it."""

from __future__ import annotations

import json
import os
import threading
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPException
from queue import SimpleQueue
from urllib.parse import urlsplit

from inventory.model import Environment
from runbooks.engine.heralds import Silence
from runbooks.engine.ports import Herald

PATIENCE = 5.0  # seconds for an answer
LAST_WORDS = 2.0  # seconds at the end of a run for what is not yet sent
IN_A_HURRY = 0.2  # the same where the operator interrupted it


class Webhook:
    """Posts JSON from a thread of its own; warns once where nobody takes it."""

    def __init__(self, url: str, about: Mapping[str, str], warn: Callable[[str], None]) -> None:
        self._url = url
        self._about = about
        self._warn = warn
        self._warned = False
        self._waiting: SimpleQueue[dict[str, str] | None] = SimpleQueue()
        # Not an executor: Python waits for its threads at exit.
        self._thread = threading.Thread(target=self._send_all, name="webhook", daemon=True)
        self._thread.start()

    def tell(self, event: str, text: str, step: str = "") -> None:
        """Takes the words, and is back at once."""
        self._waiting.put({"text": text, "event": event, **self._about, "step": step})

    def close(self, patience: float) -> None:
        """Waits so many seconds until everything is sent; what is not sent by then is dropped."""
        self._waiting.put(None)
        self._thread.join(patience)

    def _send_all(self) -> None:
        for news in iter(self._waiting.get, None):
            try:
                self._send(json.dumps(news, ensure_ascii=False).encode())
            except (OSError, ValueError, HTTPException) as error:
                self._fail(error)

    def _send(self, body: bytes) -> None:
        request = urllib.request.Request(self._url, body, {"Content-Type": "application/json; charset=utf-8"})
        with urllib.request.urlopen(request, timeout=PATIENCE):
            pass

    def _fail(self, error: Exception) -> None:
        if not self._warned:
            self._warned = True
            # The URL may be a secret: only its host is told, and no library's words, which may hold it.
            kind = type(getattr(error, "reason", None) or error).__name__
            host = urlsplit(self._url).hostname
            self._warn(f"Telling the webhook at {host} failed ({kind}). The night goes on; this is said once.")


@contextmanager
def herald_of(environment: Environment, date: str, warn: Callable[[str], None]) -> Iterator[Herald]:
    """The environment's webhook while the block runs; silence where it has none."""
    url = _url(environment, warn)
    if not url:
        yield Silence()
        return
    webhook = Webhook(url, {"night": date, "environment": environment.name}, warn)
    patience = LAST_WORDS
    try:
        yield webhook
    except KeyboardInterrupt:
        patience = IN_A_HURRY
        raise
    finally:
        webhook.close(patience)


def _url(environment: Environment, warn: Callable[[str], None]) -> str:
    webhook = environment.webhook
    if webhook is None:
        return ""
    url = webhook.url or os.environ.get(webhook.variable or "", "")
    if not url:
        warn(f"No webhook is told of this night: {webhook.variable} is not set.")
    return url

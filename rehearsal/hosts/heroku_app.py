"""`heroku VERB` on the control host: replaces the platform's tool, for the product's app."""

from __future__ import annotations

import json
from collections.abc import Sequence

from errors import UsageError
from rehearsal.files import write_json
from rehearsal.hosts.command import ThisHost, main, no_arguments, now
from rehearsal.hosts.switches import look, put
from rehearsal.layout import Layout

VARIABLE = "WAREHOUSE_URL"


def warehouse_url(target: str) -> str:
    """Return the URL of a warehouse for the app, by its farm's own DNS name."""
    return f"postgres://{target}/warehouse"


def start_app(layout: Layout) -> None:
    """Start the app with the warehouse it is configured for now."""
    write_json(layout.app_running, {"url": look(layout.configured), "started_at": now()})


def configure(host: ThisHost, words: Sequence[str]) -> str:
    """Configure the app for a warehouse; until it is restarted, it uses the one it was started with."""
    name, _, url = words[0].partition("=") if len(words) == 1 else ("", "", "")
    if name != VARIABLE or not url:
        raise UsageError(f"Expected {VARIABLE}=URL, got {' '.join(words) or 'nothing'}.")
    return put(host.lab.layout.configured, url)


def configured(host: ThisHost, words: Sequence[str]) -> str:
    """Return the URL of the warehouse that the app is configured for."""
    if list(words) != [VARIABLE]:
        raise UsageError(f"Expected {VARIABLE}, got {' '.join(words) or 'nothing'}.")
    return look(host.lab.layout.configured)


def restart(host: ThisHost, words: Sequence[str]) -> str:
    """Restart the app."""
    no_arguments(words)
    start_app(host.lab.layout)
    return ""


def running(host: ThisHost, words: Sequence[str]) -> str:
    """Return the URL that the app runs with, and since when, as JSON."""
    no_arguments(words)
    return json.dumps(json.loads(look(host.lab.layout.app_running)))


if __name__ == "__main__":
    main(
        "heroku",
        {"config:set": configure, "config:get": configured, "ps:restart": restart, "ps:running": running},
    )

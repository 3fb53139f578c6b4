"""The nouns of an environment that is at Heroku, frozen and pure; `example.yaml` explains each field."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Heroku:
    """The app whose config vars hold the addresses of databases."""

    app: str
    others: tuple[str, ...] = ()  # config vars of databases that are none of this environment's
    variable: str = (
        "HEROKU_API_KEY"  # the environment variable that holds the token; where it is not set, ~/.netrc does
    )
    endpoint: str = "https://api.heroku.com"

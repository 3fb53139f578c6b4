"""The only module that calls Amazon's EC2 and Route 53: clients, and errors for failed and for unknown outcomes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from archiver.store.bucket import aws_client
from errors import CutoverError, UnknownError
from inventory.platforms import Aws

EXPIRED = ("ExpiredToken", "ExpiredTokenException", "RequestExpired")
REFUSED = (
    "AuthFailure",
    "InvalidClientTokenId",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
)
FORBIDDEN = ("AccessDenied", "AccessDeniedException", "UnauthorizedOperation")
BUSY = ("RequestLimitExceeded", "Throttling", "ThrottlingException", "PriorRequestNotComplete")
MISSING = (NoCredentialsError, PartialCredentialsError, CredentialRetrievalError)
UNSENT = (EndpointConnectionError, ConnectTimeoutError)
WHERE = "They are read from aws/credentials in the inventory, else from environment, ~/.aws or the machine's role."
LONGEST_REASON = 300  # characters
TRIES = 4


def client(aws: Aws, service: str, tries: int = TRIES) -> Any:
    """Return a client of `ec2` or `route53`. For a call that a retry would do twice, `tries` must be 1."""
    return _client(service, aws.endpoint, aws.region, aws.credentials, tries)


@contextmanager
def querying(doing: str) -> Iterator[None]:
    """Raise CutoverError if a call in the block, which only reads, fails."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _error(CutoverError, doing, error) from error


@contextmanager
def changing(doing: str) -> Iterator[None]:
    """Raise CutoverError if a call in the block changed nothing, UnknownError if it may have changed something."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _error(UnknownError if _may_have_changed(error) else CutoverError, doing, error) from error


@contextmanager
def expecting_dry_run() -> Iterator[None]:
    """Suppress the error by which EC2 reports that a call with DryRun is permitted."""
    try:
        yield
    except ClientError as error:
        if _code(error) != "DryRunOperation":
            raise


def _code(error: Exception) -> str:
    """Return Amazon's error code; empty if the error is not an answer of Amazon's."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


@cache  # creating one takes a third of a second, and threads may share it
def _client(service: str, endpoint: str | None, region: str, credentials: str | None, tries: int) -> Any:
    from botocore.config import Config  # slow to import, so only if needed

    retries: Any = {"mode": "standard", "total_max_attempts": tries}
    config = Config(connect_timeout=10, read_timeout=30, retries=retries)
    return aws_client(service, endpoint, region, credentials, config)


def _may_have_changed(error: Exception) -> bool:
    """True if the outcome is unknown: the answer was lost, or reports an error within Amazon."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return bool(status >= 500) and _code(error) not in BUSY
    return isinstance(error, HTTPClientError) and not isinstance(error, UNSENT)


def _error(kind: Callable[..., CutoverError], doing: str, error: Exception) -> CutoverError:
    code = _code(error)
    if code in (*EXPIRED, *REFUSED) or isinstance(error, MISSING):
        _client.cache_clear()  # the next try reads the credentials again, which may have been renewed
    why, hint = _reason(code, error)
    head = f"The outcome of {doing[0].lower()}{doing[1:]} is unknown" if kind is UnknownError else f"{doing} failed"
    return kind(f"{head}: {why}.", hint=hint)


def _reason(code: str, error: Exception) -> tuple[str, str]:
    if code in EXPIRED:
        return f"the credentials have expired ({code})", "Renew them, then try again."
    if code in REFUSED:
        return f"Amazon rejects the credentials ({code})", WHERE
    if isinstance(error, MISSING):
        return "there are no credentials for it", WHERE
    if code in FORBIDDEN:
        return f"the credentials do not allow it ({code})", "Their owner needs a policy that does."
    if code in BUSY:
        return f"Amazon asks us to slow down ({code})", "Try again in a minute."
    words = " ".join(str(_words(error)).split()).rstrip(".")[:LONGEST_REASON]
    return (f"{words} ({code})" if code else words), "Check aws in the inventory, and health.aws.amazon.com."


def _words(error: Exception) -> object:
    return (
        error.response.get("Error", {}).get("Message") or "no reason given" if isinstance(error, ClientError) else error
    )

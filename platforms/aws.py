"""The only door to Amazon's EC2 and Route 53: clients, and errors that tell what was refused from what nobody knows."""

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
WHERE = "aws/credentials in the inventory names their file; else environment, ~/.aws or the machine's role have them."
LONGEST_REASON = 300  # characters
TRIES = 4


def client(aws: Aws, service: str, tries: int = TRIES) -> Any:
    """A client of `ec2` or `route53`; what would be done twice, where an answer is lost, is tried once."""
    return _client(service, aws.endpoint, aws.region, aws.credentials, tries)


@contextmanager
def querying(doing: str) -> Iterator[None]:
    """Tells what goes wrong in the block, which only looks: CutoverError."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _told(CutoverError, doing, error) from error


@contextmanager
def changing(doing: str) -> Iterator[None]:
    """Tells what goes wrong in the block: CutoverError where nothing was done, UnknownError where it may have been."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise _told(UnknownError if _may_be_done(error) else CutoverError, doing, error) from error


@contextmanager
def expecting_dry_run() -> Iterator[None]:
    """Takes the answer to a call with DryRun that leave is given; EC2 has no other way to say it than an error."""
    try:
        yield
    except ClientError as error:
        if _code(error) != "DryRunOperation":
            raise


def _code(error: Exception) -> str:
    """Amazon's word for it; empty where the error is none of its answers."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


@cache  # to make one takes a third of a second, and threads may share it
def _client(service: str, endpoint: str | None, region: str, credentials: str | None, tries: int) -> Any:
    from botocore.config import Config  # only who speaks to Amazon waits for it

    retries: Any = {"mode": "standard", "total_max_attempts": tries}
    config = Config(connect_timeout=10, read_timeout=30, retries=retries)
    return aws_client(service, endpoint, region, credentials, config)


def _may_be_done(error: Exception) -> bool:
    """An answer that was lost, or that blames Amazon itself, says nothing of what was done."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        return bool(status >= 500) and _code(error) not in BUSY
    return isinstance(error, HTTPClientError) and not isinstance(error, UNSENT)


def _told(kind: Callable[..., CutoverError], doing: str, error: Exception) -> CutoverError:
    code = _code(error)
    if code in (*EXPIRED, *REFUSED) or isinstance(error, MISSING):
        _client.cache_clear()  # the next try reads the credentials anew, which somebody may have renewed
    why, hint = _reason(code, error)
    head = f"Nobody knows the outcome of {doing[0].lower()}{doing[1:]}" if kind is UnknownError else f"{doing} failed"
    return kind(f"{head}: {why}.", hint=hint)


def _reason(code: str, error: Exception) -> tuple[str, str]:
    if code in EXPIRED:
        return f"the credentials have expired ({code})", "Renew them, then try again."
    if code in REFUSED:
        return f"Amazon does not take the credentials ({code})", WHERE
    if isinstance(error, MISSING):
        return "there are no credentials for it", WHERE
    if code in FORBIDDEN:
        return f"the credentials do not allow it ({code})", "Their owner needs a policy that does."
    if code in BUSY:
        return f"Amazon asks us to slow down ({code})", "Try again in a minute."
    words = " ".join(str(_words(error)).split()).rstrip(".")[:LONGEST_REASON]
    return (f"{words} ({code})" if code else words), "Look at aws in the inventory, and at health.aws.amazon.com."


def _words(error: Exception) -> object:
    return (
        error.response.get("Error", {}).get("Message") or "no reason given" if isinstance(error, ClientError) else error
    )

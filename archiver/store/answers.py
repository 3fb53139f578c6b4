"""Errors that a store answers with, each as a cause and a hint that an operator can act on. Pure."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoreAnswer:
    """The cause behind a store's error code, and what to do about it."""

    cause: str
    hint: str


_GONE = StoreAnswer("there is no such object", "Was it deleted by hand? Look for an older version of it in the store.")
_ELSEWHERE = StoreAnswer(
    "the bucket is in another region, or at another address", "Correct store/region or store/endpoint in the inventory."
)
_ANSWERS = {
    "404": _GONE,  # the answer to HEAD, which has no body for a code
    "NoSuchKey": _GONE,
    "301": _ELSEWHERE,
    "PermanentRedirect": _ELSEWHERE,
    "NoSuchBucket": StoreAnswer("there is no such bucket", "Correct store/bucket or store/endpoint in the inventory."),
    "InvalidObjectState": StoreAnswer(
        "the object is in a cold storage class, such as Glacier, and can't be read from there",
        "Bring it back first:  aws s3api restore-object --bucket=… --key=… --restore-request=Days=7",
    ),
    "ExpiredToken": StoreAnswer(
        "the credentials have expired", "Write fresh ones into the file that store/credentials names."
    ),
    "NotImplemented": StoreAnswer(
        "the store does not support a part of the request, such as If-None-Match",
        "Archives need a store with conditional puts. Is store/endpoint in the inventory the right one?",
    ),
    "RequestTimeTooSkewed": StoreAnswer(
        "this machine's clock and the store's are too far apart", "Set this machine's clock:  timedatectl set-ntp true"
    ),
}


def cause(code: str) -> str:
    """Return why the store refused a request, followed by its code; only the code if it has no known cause."""
    answer = _ANSWERS.get(code)
    return f"{answer.cause} ({code})" if answer else code


def hint(code: str) -> str:
    """Return what an operator can do about an error code."""
    answer = _ANSWERS.get(code)
    return answer.hint if answer else "Is the store up, are credentials set?"

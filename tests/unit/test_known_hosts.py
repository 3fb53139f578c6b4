"""A known_hosts file about one host: every form of sshd(8), and lines that are none."""

from __future__ import annotations

import base64
import hashlib
import hmac

import pytest

from runbooks.engine.live.known_hosts import known_keys


def key(kind: str = "ssh-ed25519", words: str = "one") -> bytes:
    """An encoded key, as far as it is looked at."""
    return len(kind).to_bytes(4, "big") + kind.encode() + words.encode()


def line(names: str, encoded: bytes, kind: str = "ssh-ed25519") -> str:
    return f"{names} {kind} {base64.b64encode(encoded).decode()}"


def hashed(name: str) -> str:
    """A name as ssh-keygen -H writes it."""
    salt = b"s" * 20
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{base64.b64encode(salt).decode()}|{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize(
    "names",
    [
        "db.example.com",
        "other,db.example.com,10.0.0.1",
        "*.example.com",
        "db.exam?le.com",
        "*.example.com,!web.example.com",
        "DB.Example.COM",
        hashed("db.example.com"),
    ],
)
def test_a_host_is_found_by_each_form_of_its_name(names: str) -> None:
    for text in (line(names, key()), f"\ufeff{line(names, key())} a comment", f"  {line(names, key())}\r"):
        assert known_keys(text.encode(), "db.example.com", 22).keys == {key()}, text


@pytest.mark.parametrize(
    "names",
    ["db", "example.com", "*.example.org", "*,!db.example.com", "[db.example.com]:2222", hashed("db"), "|1|damaged"],
)
def test_a_host_is_not_found_by_the_name_of_another(names: str) -> None:
    assert not known_keys(line(names, key()).encode(), "db.example.com", 22).keys


@pytest.mark.parametrize(
    ("names", "found"), [("[db]:2222", True), ("[d*]:2222", True), ("db", False), ("[db]:22", False)]
)
def test_a_port_of_its_own_is_part_of_a_name(names: str, found: bool) -> None:
    assert bool(known_keys(line(names, key()).encode(), "db", 2222).keys) is found


@pytest.mark.parametrize(
    "text",
    [
        "db",
        "db ssh-ed25519",
        "db ssh-ed25519 !!!",
        "db ssh-ed25519 AAAA",
        f"db ssh-rsa {base64.b64encode(key()).decode()}",
        f"# {line('db', key())}",
        f"@unknown {line('db', key())}",
        "db 1024 35 139484847474",
    ],
    ids=["name", "no key", "no base64", "half", "another kind", "comment", "marker", "protocol 1"],
)
def test_a_line_that_is_none_says_nothing_and_disturbs_none(text: str) -> None:
    assert known_keys(f"{text}\n{line('db', key('ssh-rsa'), 'ssh-rsa')}\n".encode(), "db", 22).keys == {key("ssh-rsa")}


@pytest.mark.parametrize(
    ("lines", "shown", "reason"),
    [
        ([line("db", key())], key(), ""),
        ([line("db", key()), line("db", key(words="two"))], key(words="two"), ""),
        ([line("db", key())], key(words="another"), "differs from the one in known_hosts"),
        ([line("db", key())], key("ssh-rsa"), "is of the kind ssh-rsa, and known_hosts has ssh-ed25519"),
        ([line("web", key())], key(), "is not in known_hosts"),
        ([f"@cert-authority {line('*', key())}"], key(words="another"), "a certificate authority for it"),
        ([f"@cert-authority {line('*', key())}"], key(), "a certificate authority for it"),
        ([line("db", key()), f"@revoked {line('*', key())}"], key(), "is revoked"),
        ([f"@revoked\t{line('db', key())}", line("db", key())], key(), "is revoked"),
        ([line("db", key()), f"@revoked {line('web', key())}"], key(), ""),
    ],
)
def test_a_key_is_refused_for_its_own_reason(lines: list[str], shown: bytes, reason: str) -> None:
    refusal = known_keys("\n".join(lines).encode(), "db", 22).refusal(shown)

    assert (reason in refusal) if reason else not refusal

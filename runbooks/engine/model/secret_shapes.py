"""The shapes by which a secret is recognized: by its position in a text, by its own look, by its variable's name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

LONG = 16  # characters; a URL's user of this length is a token
_WORDS = r"(?:password|passwd|passphrase|secret|token|api[_-]?key|access[_-]?key|signature)"
_SHORT_WORDS = rf"(?:{_WORDS}|pass|pwd|pw)"
_CAPITALS = r"(?:(?<!ASK)PASS|(?<!\bOLD)(?<!\b)PWD|PW|KEY|DSN)"  # not of PWD, OLDPWD and SSH_ASKPASS
# Quoted, with the quotes that JSON in JSON, a shell, SQL or JSON has inside; or to the end, where the text is cut off.
_QUOTED = (
    r"""\\+"[^"]*"|'[^']*'(?:"'"'[^']*')+|'(?:[^'\\]|\\.|'')*'|'[^']*'|"(?:[^"\\]|\\.|"")*"|"[^"]*"|'[^']*$|"[^"]*$"""
)
_VALUE = rf"""(?P<secret>{_QUOTED}|[^\s'"&;]+)"""
_WORD = rf"""(?P<secret>{_QUOTED}|[^\s'"&,;}}]+)"""
_HOOK = r"(?:[^\s/]*hook[^\s/]*|[^\s/]+/(?:\S*?/)?\w*hooks?)"  # in a host's name, or a part of the path
_LOGIN = r"""\s(?:-[uU]|--(?:proxy-)?user)(?:=|\s*)['"]?[^\s:'"]+:"""
_MYSQL = r"\b(?:mysql|mariadb)[\w-]*\b[^\n|;&]*?\s-p"
_TOKENS = (
    r"gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{20,}|HRKU-[\w-]{20,}|xox[a-z]-[\w-]{10,}|[rs]k_live_\w{10,}"
)

# Of a key in a mapping, or of a variable, that holds a secret.
NAMED = re.compile(rf"(?i){_WORDS}|identity|hook")
VARIABLE = re.compile(rf"[A-Z0-9_]*{_CAPITALS}")
# Certainly a secret: from then on its value is masked wherever it occurs.
SURE = (
    re.compile(rf"(?i)(?P<before>{_WORDS}\w*=){_VALUE}"),
    re.compile(rf"(?P<before>\b[A-Z0-9_]*{_CAPITALS}=){_VALUE}"),
    re.compile(rf"(?i)(?P<before>--(?:[\w-]+-)?{_SHORT_WORDS}(?:=|\s+)){_VALUE}"),
    re.compile(rf"(?i)(?P<before>\b(?:password|identified\s+by)\s+)(?P<secret>{_QUOTED})"),
    re.compile(r"(?P<before>\b[a-z][a-z0-9+.-]*://[^\s/:@]*:)(?P<secret>[^\s'\"<>]+)(?=@)"),
    re.compile(rf"(?P<before>\bhttps?://)(?P<secret>[^\s/:@]{{{LONG},}})(?=[:@])(?=[^\s/]*@)"),
    re.compile(rf"(?i)(?P<before>\bhttps?://{_HOOK}/)(?P<secret>[^\s'\"<>]+)"),
    re.compile(r"(?P<before>/bot\d+:)(?P<secret>[\w-]+)"),
    re.compile(rf"(?P<before>\b(?:curl|wget|https?)\b[^\n|;&]*?{_LOGIN})(?P<secret>[^\s'\"]+)"),
    re.compile(rf"(?P<before>{_MYSQL})(?P<secret>{_QUOTED}|\S+)"),
    re.compile(rf"(?P<before>\bsshpass\s+-p\s*|\bredis-cli\b[^\n|;&]*?\s-a\s+|\bpass:)(?P<secret>{_QUOTED}|\S+)"),
    re.compile(rf"(?P<before>\b)(?P<secret>{_TOKENS}|eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+|AGE-SECRET-KEY-1\w+)"),
    re.compile(r"(?s)(?P<before>)(?P<secret>-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*-----|$))"),
)
# Perhaps only a word after a colon, so it is masked in that position only.
LIKELY = (
    re.compile(rf"(?i)(?P<before>{_WORDS}\w*\\*['\"]?\s*[=:]\s*){_WORD}"),
    re.compile(r"(?i)(?P<before>\b(?:bearer|basic|token)\s+)(?P<secret>[\w.~+/=-]{16,})"),
    re.compile(r"(?i)(?P<before>\bcookie:\s*)(?P<secret>[^\n]+)"),
)


def secrets_of_url(text: str) -> Iterator[str]:
    """Yield the passwords of a URL, and its user where that is a token; none if the text is no URL."""
    try:
        url = urlsplit(text)
    except ValueError:
        return
    user, _, password = url.netloc.rpartition("@")[0].partition(":")
    if password:
        yield password
    if url.scheme in ("http", "https") and len(user) >= LONG:
        yield user

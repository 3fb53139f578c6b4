"""The words of an error that may be shown: only the server's own, as a product's code may quote personal data."""

from __future__ import annotations

import re
from typing import Protocol

# The languages of functions (pl_exec.c, plpy_elog.c, plperl.c, pltcl.c …), but not planner.c, plancat.c, placeholder.c.
_LANGUAGE = re.compile(r"pl(?!an|ace)")
_SERVER = re.compile(r"\w+\.[chly]")  # C, or what flex and bison make of scan.l and gram.y
_RELAYED = re.compile(r"pgfdw_|dblink_")  # functions that pass on the words of another server, of its triggers too
_VALUE = re.compile(
    r'[:"\u00ab\u00bb\u2018-\u201e]'
)  # begins a value that is quoted, in the languages of the server's messages
_SYNTAX = "42"  # its words quote the statement
_DATA = "22"  # its words quote the value


class Diagnostics(Protocol):
    """The fields of an error as the server sends them; None where it sends none."""

    @property
    def message_primary(self) -> str | None: ...
    @property
    def source_file(self) -> str | None: ...
    @property
    def source_function(self) -> str | None: ...
    @property
    def context(self) -> str | None: ...


def words_of(diagnostics: Diagnostics, code: str, name: str) -> str:
    """Return an error's message if it holds no row data, else its code's name in words.

    A function that raises an error chooses both its words and its code: the code alone tells nothing about the words.
    """
    words, of_code = diagnostics.message_primary, name.replace("_", " ").lower()
    if not words or not _by_server(diagnostics) or (code.startswith(_SYNTAX) and diagnostics.context):
        return of_code
    return _VALUE.split(words)[0].strip() or of_code if code.startswith(_DATA) else words


def _by_server(diagnostics: Diagnostics) -> bool:
    """True if the server itself raised the error: no function's language, no foreign server, no unknown extension."""
    file, function = diagnostics.source_file or "", diagnostics.source_function or ""
    return bool(_SERVER.fullmatch(file)) and not _LANGUAGE.match(file) and not _RELAYED.match(function)

"""The operator, the host and this tool's version, for records, the log and the names of sessions."""

from __future__ import annotations

import getpass
import os
import socket

TOOL_VERSION = "0.1.0"


def operator() -> str:
    """Return the operator: the name that the operator's own machine passed on, or else the login name."""
    return os.environ.get("CUTOVER_OPERATOR") or getpass.getuser()


def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()

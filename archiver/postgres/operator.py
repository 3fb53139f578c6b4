"""The operator, the host and this tool's version, for records, the log and the names of sessions."""

from __future__ import annotations

import getpass
import os
import socket

TOOL_VERSION = "0.1.0"


def operator() -> str:
    """Return the operator: the name that the operator's own machine passed on, or else the login name.

    In a container the user may have no name: it is then called by its number.
    """
    try:
        name = os.environ.get("CUTOVER_OPERATOR") or getpass.getuser()
    except (KeyError, OSError):  # OSError since Python 3.13
        name = f"uid-{os.getuid()}"
    return name.encode(errors="replace").decode()  # a variable may hold any bytes


def host() -> str:
    """Return the name of this machine."""
    return socket.gethostname()

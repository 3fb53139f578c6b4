"""Who works here, by which version of this tool, and where: for records, the log, and what others see at work."""

from __future__ import annotations

import getpass
import os
import socket

TOOL_VERSION = "0.1.0"


def operator() -> str:
    """Who works here: the login name, or the name that the operator's own machine passed on."""
    return os.environ.get("CUTOVER_OPERATOR") or getpass.getuser()


def host() -> str:
    """On which machine."""
    return socket.gethostname()

"""Numbers as a person reads them. Pure."""

from __future__ import annotations


def size(count: int) -> str:
    """Bytes: 812 MB."""
    value = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if value >= 10 or unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"

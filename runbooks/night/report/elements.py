"""HTML elements that escape their text, so that nothing from outside becomes markup."""

from __future__ import annotations

from html import escape

VOID = ("meta",)


class Markup(str):
    """Text that is HTML already."""


def element(name: str, /, *children: str, **attributes: str) -> Markup:
    """Return an element; children are escaped unless they are Markup. `class_` and `data_x` are class and data-x."""
    names = {key: key.rstrip("_").replace("_", "-") for key in attributes}
    given = "".join(f' {names[key]}="{escape(value)}"' for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{together(*children)}</{name}>")


def together(*children: str) -> Markup:
    """Return elements and text, one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))

"""HTML in which nothing that was said can be markup: text is escaped when it is put into an element."""

from __future__ import annotations

from html import escape

VOID = ("meta",)


class Markup(str):
    """Text that is HTML already."""


def element(name: str, /, *children: str, **attributes: str) -> Markup:
    """An element; its children are escaped unless they are elements. `class_` and `data_x` are class and data-x."""
    names = {key: key.rstrip("_").replace("_", "-") for key in attributes}
    given = "".join(f' {names[key]}="{escape(value)}"' for key, value in attributes.items())
    if name in VOID:
        return Markup(f"<{name}{given}>")
    return Markup(f"<{name}{given}>{together(*children)}</{name}>")


def together(*children: str) -> Markup:
    """Elements and text, one after the other."""
    return Markup("".join(child if isinstance(child, Markup) else escape(child) for child in children))

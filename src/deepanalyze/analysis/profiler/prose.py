"""Numbers and names in sentences and Markdown."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

MARKS = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    "|": "\\|",
    "`": "\\`",
    "*": "\\*",
    "[": "\\[",
    "]": "\\]",
    "!": "\\!",
    "_": "\\_",
}


def safe(value: object, width: int = 80) -> str:
    """Text from the data, on one line, with nothing in it that Markdown, HTML or the tag protocol would act on."""
    text = " ".join("".join(c if c.isprintable() else " " for c in str(value)).split())
    text = text if len(text) <= width else text[: width - 1] + "…"
    # an underscore inside a word means nothing to Markdown
    text = re.sub(r"(?<=\w)_(?=\w)", "\0", text)
    return "".join(MARKS.get(c, c) for c in text).replace("\0", "_")


def number(value: Any, digits: int = 2) -> str:
    """Two decimals for ordinary numbers, three significant digits for small ones, none for whole ones."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    if isinstance(value, str):
        return safe(value)
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{value:,.0f}".replace("-", "−")
    if abs(value) >= 1e6:
        return f"{value:,.0f}".replace("-", "−")
    text = f"{value:,.{digits}f}" if abs(value) >= 0.1 else f"{value:.3g}"
    return text.replace("-", "−")


def fixed(value: float | None) -> str:
    """Always with two decimals, for figures that stand under each other or beside a unit."""
    if value is None:
        return "–"
    text = f"{value:,.2f}" if abs(value) >= 0.005 or value == 0 else f"{value:.2g}"
    return text.replace("-", "−")


def percent(share: float | None, digits: int = 1) -> str:
    if share is None:
        return "–"
    if 0 < share < 0.5 * 10 ** -(digits + 2):
        return f"under {10**-digits:g} %"
    return f"{100 * share:.{digits}f} %".replace("-", "−")


def rows(count: int) -> str:
    return f"{count:,} row" + ("" if count == 1 else "s")


def several(count: int, noun: str) -> str:
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def listed(items: Sequence[str], most: int = 8) -> str:
    """ "a, b and c"."""
    shown = [*items[:most], *([f"{len(items) - most} more"] if len(items) > most else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}" if shown else ""


def table(head: Sequence[str], lines: Iterable[Sequence[str]], right: Iterable[int] = ()) -> str:
    """A Markdown table of cells that are safe already."""
    aligned = set(right)
    rule = "|".join("---:" if i in aligned else "---" for i in range(len(head)))
    body = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([f"| {' | '.join(head)} |", f"|{rule}|", *body])


def spoken(name: str) -> str:
    """A column's name as it stands in a sentence."""
    return f"`{name}`" if re.fullmatch(r"[\w .%/()+-]{1,60}", name) else safe(name)

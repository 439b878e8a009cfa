"""Everything displayed is text: tables as pandas prints them, figures as the line that names their file."""

from __future__ import annotations

from typing import Any

from .figures import Figures


def text_only(shell: Any, figures: Figures) -> None:
    formatter = shell.display_formatter
    formatter.active_types = ["text/plain"]
    plain = formatter.formatters["text/plain"]
    for module, name, describe in (
        ("matplotlib.figure", "Figure", figures.save),
        ("pandas.io.formats.style", "Styler", lambda styled: str(styled.data)),
        ("IPython.core.display", "Markdown", lambda text: str(text.data)),
        ("IPython.core.display", "Latex", lambda text: str(text.data)),
    ):
        plain.for_type_by_name(module, name, _printer(describe))


def _printer(describe: Any) -> Any:
    def print_pretty(value: Any, printer: Any, cycle: bool) -> None:
        printer.text(describe(value))

    return print_pretty

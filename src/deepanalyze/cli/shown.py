"""What a command has to show: the same for people and, with `--json`, for programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deepanalyze.cli.files import standard_output
from deepanalyze.errors import DeepAnalyzeError


def _nothing() -> None: ...


@dataclass(frozen=True, slots=True)
class Shown:
    """
    Attributes:
        content: what `--json` prints, as one document.
        show: prints it for people.
        error: what the command ends with: after the JSON, or in place of what people would be shown.
    """

    content: Any
    show: Callable[[], None] = _nothing
    error: DeepAnalyzeError | None = None

    def put(self, *, json: bool) -> None:
        """Prints it. Raises its error."""
        from deepanalyze.cli.printing import print_json

        with standard_output():
            if json:
                print_json(self.content)
            elif self.error is None:
                self.show()
        if self.error is not None:
            raise self.error


def said(content: Any, sentence: str) -> Shown:
    """For people, a sentence."""
    return Shown(content, lambda: print(sentence))

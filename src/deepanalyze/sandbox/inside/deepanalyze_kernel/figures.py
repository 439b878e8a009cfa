"""Charts become files: matplotlib's `figure-1.png`, `figure-2.png` …, plotly's `figure-1.html` …"""

from __future__ import annotations

import functools
import hashlib
import itertools
import sys
from pathlib import Path
from typing import Any

_SAVED = "_deepanalyze_saved_as"


class Figures:
    """Writes into the workspace under the next free number and says so in the output."""

    def __init__(self, workspace: Path) -> None:
        self._workspace = workspace
        self._pages: dict[bytes, str] = {}

    def save(self, figure: Any) -> str:
        """Saves one matplotlib figure, unless it lies in a file as it is. Returns the line that tells where."""
        known = getattr(figure, _SAVED, None)
        if known is not None and not figure.stale:
            return f"Figure saved: {known}"
        path = self._new_file("png")
        figure.savefig(path, dpi=max(figure.dpi, 120), bbox_inches="tight")
        return f"Figure saved: {path.name}"

    def save_html(self, figure: Any) -> str:
        """Saves one plotly figure, unless it was, as a page that needs nothing else."""
        digest = hashlib.sha256(figure.to_json().encode()).digest()
        if digest not in self._pages:
            path = self._new_file("html")
            path.write_text(figure.to_html(include_plotlyjs=True, full_html=True), encoding="utf-8")
            self._pages[digest] = path.name
        return f"Figure saved: {self._pages[digest]}"

    def save_open(self) -> None:
        """Saves and closes the figures that pyplot holds open: at `plt.show()` and at the end of a block."""
        pyplot = sys.modules.get("matplotlib.pyplot")
        if pyplot is None:
            return
        for number in pyplot.get_fignums():
            figure = pyplot.figure(number)
            if not figure.axes and not figure.get_children()[1:]:
                continue  # nothing was ever drawn
            if getattr(figure, _SAVED, None) is None or figure.stale:
                print(self.save(figure))  # noqa: T201
        pyplot.close("all")

    def note_saving(self, figure_class: Any) -> None:
        """Remembers what code saves itself, so that it is not saved again under a number."""
        original = figure_class.savefig

        @functools.wraps(original)  # pyplot refuses a method that does not look like its own
        def savefig(figure: Any, fname: Any, *args: Any, **kwargs: Any) -> Any:
            result = original(figure, fname, *args, **kwargs)
            if isinstance(fname, (str, Path)):
                setattr(figure, _SAVED, Path(fname).name)
                figure.stale = False
            return result

        figure_class.savefig = savefig

    def _new_file(self, extension: str) -> Path:
        for number in itertools.count(1):
            path = self._workspace / f"figure-{number}.{extension}"
            try:
                path.open("x").close()
            except FileExistsError:
                continue
            return path
        raise AssertionError

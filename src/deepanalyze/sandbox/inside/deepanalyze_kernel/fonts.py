"""matplotlib's list of fonts takes a second to make, so the server has it made once and gives it to every kernel."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from pathlib import Path

PATTERN = "fontlist-v*.json"


def main() -> None:
    """Makes the list, with the bundled fonts in it, in the directory that the argument names."""
    os.environ["MPLCONFIGDIR"] = sys.argv[1]
    from .libraries import add_fonts

    font_manager = importlib.import_module("matplotlib.font_manager")  # writes the list without ours
    add_fonts(font_manager.fontManager)
    for written in Path(sys.argv[1]).glob(PATTERN):
        font_manager.json_dump(font_manager.fontManager, str(written))
    print("ready", flush=True)  # noqa: T201


def use_list(runtime: Path) -> None:
    """Moves the list to where matplotlib looks. Its name has a version, so one that does not fit is not used."""
    for made in runtime.glob(PATTERN):
        directory = Path(os.environ["MPLCONFIGDIR"])
        directory.mkdir(exist_ok=True)
        shutil.move(made, directory / made.name)


if __name__ == "__main__":
    main()

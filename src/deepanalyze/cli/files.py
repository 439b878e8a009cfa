"""Where answers go: standard output, or files that appear under their name once they are complete."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from deepanalyze.errors import DeepAnalyzeError


@contextmanager
def written(target: Path, *, replace: bool) -> Iterator[BinaryIO]:
    """Written beside `target` and moved there at the end. Raises DeepAnalyzeError when it cannot be written, also when
    it is there already and must not be replaced.
    """
    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if not replace:
            target.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
        if replace:
            partial.replace(target)
        else:
            os.link(partial, target)
    except OSError as error:
        raise DeepAnalyzeError(f"cannot write {target}: {error.strerror}") from None
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def standard_output() -> Iterator[BinaryIO]:
    """Written through at the end. Raises DeepAnalyzeError when it cannot be written, BrokenPipeError when nobody reads
    it any more.
    """
    try:
        sys.stdout.flush()
        yield sys.stdout.buffer
        sys.stdout.flush()
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise DeepAnalyzeError(f"cannot write to standard output: {error.strerror}") from None


def drop_output() -> None:
    """The interpreter must not try to write the rest at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

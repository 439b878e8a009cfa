"""Where the files of a source land in a directory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from deepanalyze.datasources.files import landing_name, safe_relative_name


def local_names(paths: Sequence[str], save_as: str | None = None) -> list[str]:
    """Where each file goes: under its base name; where two share one, both keep their folders.

    `save_as` names a single file, and the folder for several. No two get the same name.
    """
    if save_as is not None and len(paths) == 1 and not save_as.endswith("/"):
        return [safe_relative_name(save_as)]
    bases = [path.rstrip("/").rsplit("/", 1)[-1] for path in paths]
    shared = {base for base, count in Counter(base.casefold() for base in bases).items() if count > 1}
    folder = "" if save_as is None else safe_relative_name(save_as) + "/"
    wanted = [path if base.casefold() in shared else base for path, base in zip(paths, bases, strict=True)]
    return _distinct([folder + landing_name(name) for name in wanted])


def _distinct(names: Sequence[str]) -> list[str]:
    """Numbers what is still equal, and what would need a file to be a folder (`a` beside `a/b`)."""
    folders = {parent for name in names for parent in _parents(name)}
    taken: set[str] = set(folders)
    # Numbers of each name, so that thousands of one name do not try them all anew
    used: Counter[str] = Counter()
    result = []
    for name in names:
        candidate = name
        while candidate in taken:
            used[name] += 1
            head, slash, last = name.rpartition("/")
            stem, dot, suffix = last.partition(".")
            candidate = f"{head}{slash}{stem}-{used[name] + 1}{dot}{suffix}"
        taken.add(candidate)
        result.append(candidate)
    return result


def _parents(name: str) -> list[str]:
    parts = name.split("/")[:-1]
    return ["/".join(parts[: depth + 1]) for depth in range(len(parts))]

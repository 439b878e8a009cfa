"""Names of blobs: what they may be."""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import Self

from deepanalyze.errors import InvalidRequest

_MAX_LENGTH = 1024
# Of a version or snapshot, as in the address that the portal shows. No blob's name ends like that by accident.
_VERSION = re.compile(r"\?(versionid|snapshot)=([0-9][0-9A-Za-z:.%-]{9,59})\Z")


@dataclass(frozen=True, slots=True)
class BlobRef:
    """A blob, or one of its versions or snapshots."""

    name: str
    version_id: str | None = None
    snapshot: str | None = None

    @classmethod
    def parse(cls, path: str) -> Self:
        """Of a name, with `?versionid=…` or `?snapshot=…` behind it for something older."""
        found = _VERSION.search(path)
        if found is None or found.start() == 0:
            return cls(path)
        moment = found[2].replace("%3A", ":").replace("%3a", ":")
        if found[1] == "snapshot":
            return cls(path[: found.start()], snapshot=moment)
        return cls(path[: found.start()], version_id=moment)

    @property
    def is_version(self) -> bool:
        return self.version_id is not None or self.snapshot is not None

    @property
    def version(self) -> str | None:
        if self.snapshot is not None:
            return f"snapshot={self.snapshot}"
        return None if self.version_id is None else f"versionid={self.version_id}"

    @property
    def path(self) -> str:
        return f"{self.name}?{self.version}" if self.is_version else self.name


def check_name(name: str, param: str = "path") -> None:
    """Of a blob, or of several as a glob or prefix. Raises InvalidRequest."""
    if not name:
        raise InvalidRequest(
            f"{param} is empty; give a blob's name, a glob or a prefix ending in '/'", param=param
        )
    check_characters(name, param)
    name = BlobRef.parse(name).name
    if len(name) > _MAX_LENGTH:
        raise InvalidRequest(
            f"{param} is longer than the {_MAX_LENGTH} characters of a blob's name", param=param
        )


def check_one(name: str) -> None:
    """Of a single blob, that is asked for by its name. Raises InvalidRequest."""
    check_name(name)
    if leads_out(name):
        raise InvalidRequest(
            "path leads out of the container by its '..'; a blob that is called so can be fetched by a prefix or a "
            "pattern that it matches",
            param="path",
        )


def leads_out(name: str) -> bool:
    """Whether a service that folded the name's `..` would look outside of the container."""
    container = "/\0"  # which no part of a name can be
    # A backslash counts as a slash, as it would there
    folded = posixpath.normpath(f"{container}/{name.replace(chr(92), '/')}")
    return folded != container and not folded.startswith(f"{container}/")


def check_characters(name: str, param: str = "path") -> None:
    if "\x00" in name:
        raise InvalidRequest(f"{param} holds a NUL character, which no blob's name has", param=param)

"""Why a file cannot be shown. Each is an outcome to tell, not a defect."""

from __future__ import annotations


class Failure(Exception):
    """The message is for people, and goes on after `<file> …`."""

    kind = ""


class Unreadable(Failure):
    kind = "unreadable"


class TooLarge(Failure):
    kind = "too_large"


class Unknown(Failure):
    """No format that is known."""

    kind = "unknown"


class NeedsWhole(Failure):
    """The beginning of the file is not enough."""

    kind = "needs_whole"

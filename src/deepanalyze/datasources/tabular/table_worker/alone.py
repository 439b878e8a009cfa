"""Starts the program with limits of its own, where no sandbox sets them."""

from __future__ import annotations

import json
import resource
import sys


def main() -> None:
    """Takes the limits as JSON in the last argument."""
    for kind, value in json.loads(sys.argv.pop()).items():
        number = getattr(resource, f"RLIMIT_{kind}")
        hard = resource.getrlimit(number)[1]
        bound = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(number, (bound, bound))
    from .main import main as read

    read()

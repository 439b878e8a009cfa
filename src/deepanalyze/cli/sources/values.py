"""Parameters as they are typed."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from deepanalyze.cli.prompting import ask, can_ask
from deepanalyze.errors import InvalidRequest


def given(values: Sequence[str], secrets: Sequence[str]) -> dict[str, Any]:
    """Secrets are asked for, or read from standard input a line each where that is no terminal."""
    found = dict(_pair(text) for text in values)
    return found | {name: ask_secret(name) for name in secrets}


def ask_secret(name: str) -> str:
    if can_ask():
        return str(ask(name, hide_input=True))
    line = sys.stdin.readline()
    if not line:
        raise InvalidRequest(f"{name} is asked for, but standard input has ended", param=name)
    return line.rstrip("\n")


def typed(text: str) -> Any:
    """JSON where it is some: numbers, true, null, lists; else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InvalidRequest(f"--set {text[:80]!r} is not of the form name=value", param="set")
    return name.strip(), typed(value)

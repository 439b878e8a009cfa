"""Fails when an acceptance criterion that is due has no test that proves it.

`tests/requirements.toml` lists the criteria; tests name theirs by @pytest.mark.requirement("2.5").
"""

from __future__ import annotations

import contextlib
import io
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent


class Collector:
    """Notes which criteria the collected tests name."""

    def __init__(self) -> None:
        self.proofs: dict[str, list[str]] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            for marker in item.iter_markers("requirement"):
                for criterion in marker.args:
                    self.proofs.setdefault(str(criterion), []).append(item.nodeid)


def criteria() -> dict[str, dict[str, Any]]:
    listed = tomllib.loads((ROOT / "tests" / "requirements.toml").read_text())
    return {
        number: entry
        for group in listed.values()
        for number, entry in group.items()
        if isinstance(entry, dict)
    }


def main() -> int:
    collector = Collector()
    told = io.StringIO()
    with contextlib.redirect_stdout(told):
        status = pytest.main(["--collect-only", "-q", "-n0", str(ROOT / "tests")], plugins=[collector])
    if status != pytest.ExitCode.OK:
        print(told.getvalue())
        print("The tests could not be collected.")
        return 1
    known = criteria()
    unknown = sorted(set(collector.proofs) - set(known))
    unproved = [n for n, c in known.items() if "pending" not in c and n not in collector.proofs]
    for number in unknown:
        print(
            f"{number}: named by {collector.proofs[number][0]}, but tests/requirements.toml has no such criterion"
        )
    for number in unproved:
        print(f"{number}: no test proves it ({known[number]['text']})")
    proved = sum(1 for n in known if n in collector.proofs)
    pending = sum(1 for n, c in known.items() if "pending" in c and n not in collector.proofs)
    print(f"{len(known)} criteria: {proved} proved by tests, {pending} not yet due, {len(unproved)} missing")
    return 1 if unknown or unproved else 0


if __name__ == "__main__":
    sys.exit(main())

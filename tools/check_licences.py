"""Fails when a dependency's licence is neither permissive nor weak copyleft, or cannot be told.

Looks at every Python distribution in this environment and every npm package that the embedded blob service brings.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

# Words that a licence's name must have one of …
ACCEPTED = re.compile(
    r"\b(MIT(-0|-CMU)?|BSD(-\d-Clause)?|0BSD|Apache|ISC|Python Software Foundation|PSF|PSFL|PSF-2\.0|Python-2\.0|MPL|"
    r"Mozilla Public License|LGPL(v?\d\+?)?|Lesser General Public|Zlib|Unlicense|CC0|Public Domain|BlueOak|"
    r"HPND|WTFPL|OFL|PostgreSQL|CNRI|Unicode|BSL|Boost|"
    r"LGPL-[\d.]+(-only|-or-later)?)\b",
    re.IGNORECASE,
)
# … and words that refuse it wherever no accepted alternative (`OR`) stands beside them.
REFUSED = re.compile(
    r"(?<!L)\bA?GPL|GNU (Affero )?General Public|SSPL|Commons Clause|Proprietary", re.IGNORECASE
)

# What a package's metadata leaves out or says wrongly, looked up in its source.
KNOWN: dict[str, str] = {
    "npm:uri-templates": "Public Domain OR MIT",  # its field holds the address of that text
}


def python_packages() -> list[tuple[str, str]]:
    listed = subprocess.run(
        [sys.executable, "-m", "piplicenses", "--format=json", "--from=all", "--with-system"],
        capture_output=True,
        text=True,
        check=True,
    )
    found = []
    for entry in json.loads(listed.stdout):
        stated = [
            entry.get(key, "UNKNOWN")
            for key in ("License-Expression", "License-Metadata", "License-Classifier")
        ]
        licence = next((text for text in stated if text and text != "UNKNOWN"), "UNKNOWN")
        # An old-style field may hold the licence's whole text; its classifier says it shorter.
        if len(licence) > 200 and stated[2] != "UNKNOWN":
            licence = stated[2]
        found.append((entry["Name"], KNOWN.get(entry["Name"].lower(), licence)))
    return found


def npm_packages() -> list[tuple[str, str]]:
    from deepanalyze.devservices.install import azurite_directory

    found = []
    for manifest in sorted(Path(azurite_directory()).glob("node_modules/**/package.json")):
        if "node_modules" not in manifest.parent.parent.name and not manifest.parent.parent.name.startswith(
            "@"
        ):
            continue
        entry = json.loads(manifest.read_text(encoding="utf-8"))
        if "name" not in entry or "version" not in entry:
            continue
        licence = entry.get("license") or entry.get("licenses") or "UNKNOWN"
        if isinstance(licence, list):
            licence = " OR ".join(str(x.get("type", x) if isinstance(x, dict) else x) for x in licence)
        if isinstance(licence, dict):
            licence = licence.get("type", "UNKNOWN")
        found.append((f"npm:{entry['name']}", KNOWN.get(f"npm:{entry['name']}", str(licence))))
    return found


def acceptable(licence: str) -> bool:
    for alternative in re.split(r"\bOR\b|;", licence):
        if ACCEPTED.search(alternative) and not REFUSED.search(alternative):
            return True
    return False


def main() -> int:
    packages = python_packages() + npm_packages()
    wrong = [(name, licence) for name, licence in packages if not acceptable(licence)]
    for name, licence in wrong:
        print(f"{name}: {licence.splitlines()[0][:120]}")
    print(f"{len(packages)} packages, {len(wrong)} with a licence that is not accepted or not known")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())

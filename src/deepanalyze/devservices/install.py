"""`python -m deepanalyze.devservices.install`: what would otherwise be fetched at the first start, ahead of time."""

from __future__ import annotations

import sys

from deepanalyze.devservices.azurite.install import azurite_directory
from deepanalyze.devservices.cluster import find_programs
from deepanalyze.devservices.reachable import service_user
from deepanalyze.errors import StartupError


def main() -> int:
    try:
        azurite_directory()
        find_programs(service_user())
    except StartupError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

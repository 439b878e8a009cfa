"""What templates show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

EXAMPLES: Sequence[Mapping[str, Any]] = (
    {
        "title": "A directory",
        "description": "Everything below it may be read; the user that the server runs as needs the permission to.",
        "config": {"root": "/srv/data/sales"},
    },
)

PATH_PATTERNS: Sequence[Mapping[str, str]] = (
    {"pattern": "2024/orders.csv", "description": "one file, by its path below the root"},
    {"pattern": "2024/", "description": "everything below a folder"},
    {"pattern": "2024/*.csv", "description": "the CSV files of one folder"},
    {"pattern": "**/2024/*.parquet", "description": "in every folder named 2024, at any depth"},
    {"pattern": "logs/2024-0[1-3]-??.json", "description": "`[…]` is one of these characters, `?` any one"},
    {"pattern": "{north,south}/sales.csv", "description": "one of several alternatives"},
)

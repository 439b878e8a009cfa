"""What the commands ask the API, and what they show of the answers."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

from deepanalyze.cli.sources.asking import Asker
from deepanalyze.cli.sources.display import Display
from deepanalyze.errors import DeepAnalyzeError

PATH = "/v1/admin/audit"


async def verify_it(asker: Asker, *, json: bool) -> None:
    """Raises DeepAnalyzeError when the chain is broken."""
    found = await asker.post(f"{PATH}/verify")
    if json:
        print(jsonlib.dumps(found, indent=2))
    if not found["valid"]:
        raise DeepAnalyzeError(
            f"the audit trail is broken at record {found['first_broken']}: {found['reason']}"
        )
    if not json:
        pruned = f" (those up to {found['pruned_through']} were pruned)" if found["pruned_through"] else ""
        print(f"The audit trail is whole: {found['records']} records{pruned}.")
        print(f"Newest: record {found['head_sequence']}, MAC {found['head_mac'] or '(none)'}")


async def list_them(asker: Asker, wanted: Mapping[str, Any], *, limit: int, json: bool) -> None:
    records: list[dict[str, Any]] = []
    async with aclosing(asker.items(PATH, **wanted)) as items:  # type: ignore[type-var]
        async for record in items:
            records.append(record)
            if len(records) == limit:
                break
    if json:
        print(jsonlib.dumps(records, ensure_ascii=False, indent=2))
    else:
        Display().audit(records)

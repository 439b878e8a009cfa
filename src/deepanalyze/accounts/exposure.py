"""Whether anybody has chosen a key yet."""

from __future__ import annotations

import time

from deepanalyze.accounts.records import AccountRepository
from deepanalyze.accounts.service import FIRST_KEY_NAME


async def only_first_key(repository: AccountRepository) -> bool:
    """No key is in force but the one that was made, and printed, at the first start (or will be)."""
    now = int(time.time())
    return all(key.name == FIRST_KEY_NAME for key in await repository.list_keys() if key.in_force(now))

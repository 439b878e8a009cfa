"""Whether anybody has chosen a key yet."""

from __future__ import annotations

import time

from deepanalyze.accounts.records import AccountRepository

FIRST_KEY_NAME = "made at first start"  # as `Accounts.ensure_admin` names it


async def only_first_key(repository: AccountRepository) -> bool:
    """No key is in force but the one that was made, and printed, at the first start (or will be)."""
    now = int(time.time())
    keys = await repository.list_keys()
    in_force = (k for k in keys if k.revoked_at is None and (k.expires_at is None or k.expires_at > now))
    return all(key.name == FIRST_KEY_NAME for key in in_force)

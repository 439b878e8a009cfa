"""Users, API keys and what they may do."""

from deepanalyze.accounts.attempts import FailedAttempts
from deepanalyze.accounts.records import (
    AccountRepository,
    ApiKey,
    Belongings,
    Grant,
    Principal,
    Role,
    User,
)
from deepanalyze.accounts.service import ADMIN_NAME, KEY_PREFIX, MIN_CONFIGURED_KEY_LENGTH, Accounts

__all__ = [
    "ADMIN_NAME",
    "KEY_PREFIX",
    "MIN_CONFIGURED_KEY_LENGTH",
    "AccountRepository",
    "Accounts",
    "ApiKey",
    "Belongings",
    "FailedAttempts",
    "Grant",
    "Principal",
    "Role",
    "User",
]

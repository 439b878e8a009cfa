"""Users, API keys and what they may do."""

from deepanalyze.accounts.attempts import FailedAttempts
from deepanalyze.accounts.rates import RequestRate
from deepanalyze.accounts.records import (
    AccountRepository,
    ApiKey,
    Belongings,
    Grant,
    Principal,
    Role,
    User,
    key_digest,
)
from deepanalyze.accounts.service import (
    ADMIN_NAME,
    KEY_PREFIX,
    Accounts,
    check_user_name,
    is_user_id,
)
from deepanalyze.accounts.sessions import Sessions

__all__ = [
    "ADMIN_NAME",
    "KEY_PREFIX",
    "AccountRepository",
    "Accounts",
    "ApiKey",
    "Belongings",
    "FailedAttempts",
    "Grant",
    "Principal",
    "RequestRate",
    "Role",
    "Sessions",
    "User",
    "check_user_name",
    "is_user_id",
    "key_digest",
]

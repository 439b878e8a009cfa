from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deepanalyze.accounts import Accounts, Grant
from deepanalyze.errors import (
    AlreadyExists,
    DeepAnalyzeError,
    InternalError,
    InvalidApiKey,
    InvalidRequest,
    NotFound,
)
from deepanalyze.store import Store, open_store
from deepanalyze.store.accounts import StoredAccounts
from deepanalyze.store.found_keys import FoundKeys

CONFIGURED = "configured-admin-key-0123456789"


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with open_store(tmp_path / "store.sqlite") as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(store: Store, clock: Clock) -> Accounts:
    return Accounts(store.accounts, clock=clock)


async def test_a_key_brings_its_user_and_narrows_the_grants(accounts: Accounts) -> None:
    grants = [Grant("ds-1"), Grant("ds-2", write=True)]
    user = await accounts.create_user("ada", grants=grants)
    stored, key = await accounts.create_key(user.id, "laptop", sources=["ds-2"])
    principal = await accounts.authenticate(key)
    assert (principal.user, principal.key_id, principal.sources) == (user, stored.id, ("ds-2",))
    assert not principal.is_admin
    assert not principal.may_use("ds-1")
    assert principal.may_use("ds-2")
    assert principal.may_write("ds-2")


async def test_the_key_itself_is_kept_nowhere(accounts: Accounts, store: Store, tmp_path: Path) -> None:
    user = await accounts.create_user("ada")
    stored, key = await accounts.create_key(user.id, "laptop")
    assert key.startswith("sk-da-")
    assert len(key) >= 48
    assert key.startswith(stored.prefix)
    assert len(stored.prefix) == 10
    assert key not in repr(stored)
    assert stored.digest not in repr(stored)
    secret = key.removeprefix(stored.prefix).encode()
    for file in tmp_path.glob("store.sqlite*"):
        assert secret not in file.read_bytes()


@pytest.mark.parametrize("key", ["", "sk-da-", "nonsense", "sk-da-" + "a" * 43, "\ud800", "key\0"])
async def test_a_wrong_key_is_refused(accounts: Accounts, key: str) -> None:
    await accounts.ensure_admin(CONFIGURED)
    with pytest.raises(InvalidApiKey) as raised:
        await accounts.authenticate(key)
    assert not key or key not in str(raised.value)


async def test_a_key_ends_with_its_expiry(accounts: Accounts, clock: Clock) -> None:
    user = await accounts.create_user("ada")
    _, key = await accounts.create_key(user.id, "today", expires_at=int(clock.now) + 60)
    await accounts.authenticate(key)
    clock.now += 60
    with pytest.raises(InvalidApiKey, match="expired"):
        await accounts.authenticate(key)
    with pytest.raises(InvalidRequest, match="past"):
        await accounts.create_key(user.id, "yesterday", expires_at=int(clock.now))


async def test_a_revoked_key_is_refused_at_once(accounts: Accounts) -> None:
    user = await accounts.create_user("ada")
    stored, key = await accounts.create_key(user.id, "laptop")
    await accounts.revoke_key(stored.id)
    with pytest.raises(InvalidApiKey, match="revoked"):
        await accounts.authenticate(key)
    with pytest.raises(NotFound):
        await accounts.revoke_key("key-none")


async def test_the_last_use_is_written_once_a_minute(accounts: Accounts, store: Store, clock: Clock) -> None:
    user = await accounts.create_user("ada")
    _, key = await accounts.create_key(user.id, "laptop")
    seen = []
    for seconds in (0, 59, 1):
        clock.now += seconds
        await accounts.authenticate(key)
        seen.append((await store.accounts.list_keys())[0].last_used_at)
    assert seen == [1_000_000, 1_000_000, 1_000_060]


async def test_the_first_start_makes_an_admin_key_once(accounts: Accounts, store: Store) -> None:
    key = await accounts.ensure_admin(None)
    assert key is not None
    principal = await accounts.authenticate(key)
    assert (principal.user.name, principal.is_admin) == ("admin", True)
    assert await accounts.ensure_admin(None) is None
    assert await Accounts(store.accounts).ensure_admin(None) is None


async def test_when_no_admin_key_works_any_more_a_new_one_is_made(accounts: Accounts) -> None:
    key = await accounts.ensure_admin(None)
    assert key is not None
    admin = await accounts.authenticate(key)
    assert admin.key_id is not None
    await accounts.revoke_key(admin.key_id)
    assert await accounts.ensure_admin(None) is not None


async def test_a_configured_key_is_an_admins_as_long_as_it_is_configured(
    accounts: Accounts, store: Store
) -> None:
    for _ in range(2):
        assert await accounts.ensure_admin(CONFIGURED) is None
        assert (await accounts.authenticate(CONFIGURED)).is_admin
    assert len(await store.accounts.list_users()) == 1

    restarted = Accounts(store.accounts)
    assert await restarted.ensure_admin("another-configured-key-987") is None
    assert (await restarted.authenticate("another-configured-key-987")).is_admin
    with pytest.raises(InvalidApiKey):
        await restarted.authenticate(CONFIGURED)


async def test_where_no_key_is_to_be_made_none_is(accounts: Accounts, store: Store) -> None:
    assert await accounts.ensure_admin(None, make_key=False) is None
    assert (await store.accounts.list_users(), await store.accounts.list_keys()) == ([], [])


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "x" * 65, "a\n", "../x"])
async def test_a_users_name_must_be_plain(accounts: Accounts, name: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        await accounts.create_user(name)
    assert raised.value.param == "name"


async def test_users_are_told_apart(accounts: Accounts) -> None:
    await accounts.create_user("ada@example.org")
    with pytest.raises(AlreadyExists):
        await accounts.create_user("ada@example.org")
    with pytest.raises(InvalidRequest):
        await accounts.create_user("eve", role="owner")  # type: ignore[arg-type]
    with pytest.raises(DeepAnalyzeError, match="user-none"):
        await accounts.create_key("user-none", "laptop")


async def test_a_store_that_cannot_be_written_keeps_nobody_out(store: Store) -> None:
    class OnAFullDisk(StoredAccounts):
        async def touch_key(self, key_id: str, at: int) -> None:
            raise InternalError("the server's store failed: the disk is full; nothing was changed")

    accounts = Accounts(OnAFullDisk(store.database, FoundKeys(store.database)))
    user = await accounts.create_user("ada")
    stored, key = await accounts.create_key(user.id, "laptop")
    with capture_logs() as logs:
        assert (await accounts.authenticate(key)).user == user
    assert [(record["log_level"], record["key_id"]) for record in logs] == [("warning", stored.id)]

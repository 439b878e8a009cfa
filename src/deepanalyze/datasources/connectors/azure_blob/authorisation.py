"""How requests to an account are authorised, for each of those that make some: the SDK, obstore and our own listing."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from azure.core.credentials import AccessToken, AzureNamedKeyCredential, AzureSasCredential
from azure.storage.blob import ContainerSasPermissions, generate_container_sas

from deepanalyze.datasources.connectors.azure_blob.account import BlobAccount
from deepanalyze.datasources.entra import EntraFields, EntraTokens

if TYPE_CHECKING:
    from obstore.store import AzureConfig

_SCOPE = "https://storage.azure.com/.default"  # the same in every cloud
_LISTING_SAS_LIFE = timedelta(hours=1)


class Authorisation:
    """An async context manager around the Entra credential, where there is one."""

    def __init__(self, account: BlobAccount, container: str, fields: EntraFields, source: str) -> None:
        self._account = account
        self._container = container
        self._tokens: EntraTokens | None = None
        self._listing: tuple[datetime, str] | None = None
        self._resources = AsyncExitStack()
        if account.entra:
            self._tokens = EntraTokens(fields, _SCOPE, source, authority=account.entra_host)

    async def __aenter__(self) -> Self:
        if self._tokens is not None:
            await self._resources.enter_async_context(self._tokens)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._resources.aclose()

    @property
    def for_sdk(self) -> Any:
        account = self._account
        if account.key is not None:
            return AzureNamedKeyCredential(account.name or "", account.key.get_secret_value())
        if account.sas is not None:
            return AzureSasCredential(account.sas.get_secret_value())
        return None if self._tokens is None else _SdkTokens(self._tokens)

    async def for_obstore(self) -> AzureConfig:
        """Another one when the token in it was replaced. Raises what getting a token raises."""
        account = self._account
        if account.key is not None:
            return {"credential_type": "access_key", "account_key": account.key.get_secret_value()}
        if account.sas is not None:
            return {"credential_type": "sas_token", "sas_key": account.sas.get_secret_value()}
        if self._tokens is not None:
            return {"credential_type": "bearer_token", "token": await self._tokens.token()}
        return {"skip_signature": True}

    async def for_listing(self) -> tuple[str, Mapping[str, str]]:
        """What to add to the query, and headers. The account key makes a SAS for listings."""
        account = self._account
        if account.sas is not None:
            return account.sas.get_secret_value(), {}
        if account.key is not None:
            return self._listing_sas(account.key.get_secret_value()), {}
        if self._tokens is not None:
            return "", {"Authorization": f"Bearer {await self._tokens.token()}"}
        return "", {}

    def _listing_sas(self, key: str) -> str:
        """Made anew when half of its life is over."""
        now = datetime.now(UTC)
        if self._listing is None or now > self._listing[0]:
            sas = generate_container_sas(
                self._account.name or "",
                self._container,
                key,
                permission=ContainerSasPermissions(list=True),
                expiry=now + _LISTING_SAS_LIFE,
            )
            self._listing = (now + _LISTING_SAS_LIFE / 2, sas)
        return self._listing[1]


class _SdkTokens:
    """The tokens as the SDK asks for them; their errors are ours already."""

    def __init__(self, tokens: EntraTokens) -> None:
        self._tokens = tokens

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        return await self._tokens.access_token()

    async def close(self) -> None:
        """They are closed where they were opened."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass

"""Signing in with Microsoft Entra: the parameters that connectors share, and the tokens themselves.

azure-identity keeps the tokens, in memory only, and fetches new ones before the old ones expire.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import BaseModel, Field, SecretStr, model_validator

from deepanalyze.datasources.masking import mask_text
from deepanalyze.datasources.schema import FieldError
from deepanalyze.errors import SourceAuthenticationFailed, SourceUnavailable

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.core.credentials_async import AsyncTokenCredential

CredentialKind = Literal["default", "managed_identity", "service_principal", "workload_identity", "azure_cli"]
EXPLICIT: CredentialKind = "service_principal"  # all others borrow an identity of the server itself
_OF_SERVICE_PRINCIPAL = ("client_secret", "client_certificate")
_FIELDS = ("tenant_id", "client_id", *_OF_SERVICE_PRINCIPAL)


class EntraFields(BaseModel):
    """For a connector's config to inherit."""

    credential: CredentialKind | None = Field(
        default=None,
        description="Sign in with Microsoft Entra instead of a password or key: 'service_principal' with tenant_id, "
        "client_id and client_secret or client_certificate; or, for administrators, an identity of the server itself: "
        "'managed_identity' (client_id chooses a user-assigned one), 'workload_identity', 'azure_cli' or 'default', "
        "which tries these.",
    )
    tenant_id: str | None = Field(
        default=None,
        description="The Entra tenant of the service principal.",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.-]{0,99}$",
    )
    client_id: str | None = Field(
        default=None,
        description="The application (client) id of the service principal or user-assigned identity.",
        pattern=r"^[A-Za-z0-9-]{1,100}$",
    )
    client_secret: SecretStr | None = Field(default=None, description="Secret of the service principal.")
    client_certificate: SecretStr | None = Field(
        default=None,
        description="Instead of a secret: certificate and private key of the service principal (PEM, the text itself).",
    )

    @model_validator(mode="after")
    def _fits_the_credential(self) -> Self:
        given = [name for name in _FIELDS if getattr(self, name) is not None]
        if self.credential is None:
            if given:
                raise FieldError(given[0], "needs credential beside it, as 'service_principal'")
            return self
        if self.credential == EXPLICIT:
            for name in ("tenant_id", "client_id"):
                if getattr(self, name) is None:
                    raise FieldError(name, "is needed for credential 'service_principal'")
            if (self.client_secret is None) == (self.client_certificate is None):
                raise FieldError(
                    "client_secret", "or client_certificate is needed for 'service_principal', one of them"
                )
            return self
        for name in given:
            if name in _OF_SERVICE_PRINCIPAL or self.credential in ("azure_cli", "default"):
                raise FieldError(name, f"does not go with credential {self.credential!r}")
        return self


def borrows_identity(config: Mapping[str, Any]) -> Collection[str]:
    """The fields of a config, not validated yet, that use an identity of the server's own."""
    return {"credential"} if config.get("credential") not in (None, EXPLICIT) else ()


class EntraTokens:
    """Tokens for one source. An async context manager, like the credential that it holds.

    Args:
        scope: of the tokens, as `https://…/.default`.
        authority: Entra's own address, where it is another cloud's; the CLI and managed identities know it themselves.
        options: for azure-identity's credential.
    """

    def __init__(
        self, fields: EntraFields, scope: str, source: str, *, authority: str | None = None, **options: Any
    ) -> None:
        self._fields = fields
        self._scope = scope
        self._source = source
        elsewhere = authority is not None and fields.credential not in ("azure_cli", "managed_identity")
        self.options = {**options, "authority": authority} if elsewhere else options
        self._making = asyncio.Lock()
        self._credential: AsyncTokenCredential | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        credential, self._credential = self._credential, None
        if credential is not None:
            await credential.close()

    async def token(self) -> str:
        return (await self.access_token()).token

    async def access_token(self) -> AccessToken:
        """One that is good for some minutes at least. Raises SourceAuthenticationFailed, or SourceUnavailable when
        Entra cannot be reached.
        """
        from azure.core.exceptions import AzureError, ClientAuthenticationError, ServiceRequestError
        from azure.identity import CredentialUnavailableError

        try:
            async with self._making:  # of several at once, one; no network is awaited here
                if self._credential is None:
                    self._credential = await asyncio.to_thread(make_credential, self._fields, **self.options)
            return await self._credential.get_token(self._scope)
        except (ClientAuthenticationError, CredentialUnavailableError, ValueError) as error:
            raise SourceAuthenticationFailed(
                f"source {self._source!r}: Microsoft Entra gives no token ({_words(error)})"
            ) from error
        except ServiceRequestError as error:
            raise SourceUnavailable(
                f"source {self._source!r}: Microsoft Entra cannot be reached ({_words(error)})",
                retry_after_s=5,
            ) from error
        except AzureError as error:
            raise SourceUnavailable(
                f"source {self._source!r}: Microsoft Entra gave no token ({_words(error)})"
            ) from error


def make_credential(fields: EntraFields, **options: Any) -> AsyncTokenCredential:
    """Blocking, since it may read certificates. Raises ValueError for one that cannot be used."""
    from azure.identity import aio

    match fields.credential:
        case "service_principal" if fields.client_certificate is not None:
            return aio.CertificateCredential(
                fields.tenant_id or "",
                fields.client_id or "",
                certificate_data=fields.client_certificate.get_secret_value().encode(),
                **options,
            )
        case "service_principal" if fields.client_secret is not None:
            return aio.ClientSecretCredential(
                fields.tenant_id or "",
                fields.client_id or "",
                fields.client_secret.get_secret_value(),
                **options,
            )
        case "managed_identity":
            return aio.ManagedIdentityCredential(client_id=fields.client_id, **options)
        case "workload_identity":
            return aio.WorkloadIdentityCredential(
                tenant_id=fields.tenant_id, client_id=fields.client_id, **options
            )
        case "azure_cli":
            return aio.AzureCliCredential(**options)
    return aio.DefaultAzureCredential(exclude_interactive_browser_credential=True, **options)


def _words(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return mask_text(lines[0])[:300] if lines else type(error).__name__

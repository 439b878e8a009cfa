"""The configuration of an Azure Blob source: one container and exactly one way to open it."""

from __future__ import annotations

import re
from typing import Self

from pydantic import AliasChoices, ConfigDict, Field, SecretStr, field_validator, model_validator

from deepanalyze.datasources.connectors.azure_blob.account import (
    BlobAccount,
    account_key,
    account_url,
    from_connection_string,
    sas_token,
)
from deepanalyze.datasources.connectors.azure_blob.tls import trusting
from deepanalyze.datasources.entra import EntraFields
from deepanalyze.datasources.fields import AllowedNetworks
from deepanalyze.datasources.schema import FieldError

_CONTAINER = re.compile(r"\$(root|web|logs)|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_SECRETS = ("sas_token", "account_key", "credential", "anonymous")  # one of them goes with account_url
_WAYS = "connection_string, or account_url with one of sas_token, account_key, credential and anonymous"
_BLANKABLE = (
    "connection_string",
    "account_url",
    "sas_token",
    "account_key",
    "ca_certificate",
    "upload_prefix",
)


class AzureBlobConfig(EntraFields):
    # Inputs stay out of validation errors: whatever is wrong with a secret, it is not shown.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, populate_by_name=True)

    container_name: str = Field(
        validation_alias=AliasChoices("container_name", "container"),
        description="The container to read; also accepted as `container`.",
        examples=["sales"],
    )
    connection_string: SecretStr | None = Field(
        default=None,
        description="A connection string from the Azure portal, with AccountKey, SharedAccessSignature or "
        "UseDevelopmentStorage=true. Give either this or account_url.",
    )
    account_url: str | None = Field(
        default=None,
        description="The blob endpoint of the account, for use with sas_token, account_key, credential or anonymous: "
        "of a public or sovereign cloud, a private endpoint or a domain of your own. An emulator's names the account "
        "in its path: http://127.0.0.1:10000/devstoreaccount1.",
        examples=["https://myaccount.blob.core.windows.net"],
    )
    sas_token: SecretStr | None = Field(
        default=None,
        description="A shared access signature, with or without its leading `?`; read and list permissions are "
        "needed. Goes with account_url.",
    )
    account_key: SecretStr | None = Field(
        default=None,
        description="One of the account's two access keys. It opens the whole account: a SAS token for the one "
        "container is the safer choice. Goes with account_url.",
    )
    anonymous: bool = Field(
        default=False,
        description="Reads a public container without any credentials. Goes with account_url.",
    )
    sas_expiry_warning_days: float = Field(
        default=7,
        ge=0,
        le=3650,
        description="Days before a SAS token ends from which on tests and the log warn of it; 0 never warns.",
    )
    read_only: bool = Field(
        default=True, description="Refuses uploads. Downloads and listings never change the container."
    )
    upload_prefix: str | None = Field(
        default=None,
        max_length=900,
        description="Uploads go below this folder only, as 'results/'; needs read_only to be false. Without it they "
        "may go anywhere in the container.",
        examples=["results/"],
    )
    verify: bool | None = Field(
        default=None,
        description="Whether to compare a download with the MD5 that the service keeps for the blob, where it keeps "
        "one. By default blobs up to 100 MiB are; lengths always are.",
    )
    allowed_networks: AllowedNetworks | None = Field(
        default=None,
        description="Networks (CIDR) and patterns of host names in which the account has to be, besides what this "
        "installation allows.",
        examples=[["10.0.0.0/8", "*.blob.core.windows.net"]],
    )
    ca_certificate: str | None = Field(
        default=None,
        description="Certificates (PEM, the text itself) of the authority that signed the account's, where this "
        "machine does not trust it: a private cloud, or a proxy that looks into TLS.",
    )
    connect_timeout_s: float | None = Field(
        default=None,
        gt=0,
        le=300,
        description="Seconds to wait for a connection to the account; by default the server's setting (10).",
    )

    @field_validator(*_BLANKABLE, mode="before")
    @classmethod
    def _blank_is_absent(cls, value: object) -> object:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        return None if isinstance(text, str) and not text.strip() else value

    @field_validator("container_name")
    @classmethod
    def _container(cls, value: str) -> str:
        if not _CONTAINER.fullmatch(value):
            raise ValueError(
                "a container's name has 3 to 63 lower-case letters, digits and single '-', and begins and ends with "
                "a letter or digit"
            )
        return value

    @field_validator("account_url")
    @classmethod
    def _account_url(cls, value: str | None) -> str | None:
        return None if value is None else account_url(value)[0]

    @field_validator("connection_string")
    @classmethod
    def _connection_string(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            from_connection_string(value.get_secret_value())
        return value

    @field_validator("sas_token")
    @classmethod
    def _sas_token(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else sas_token(value.get_secret_value())

    @field_validator("account_key")
    @classmethod
    def _account_key(cls, value: SecretStr | None) -> SecretStr | None:
        return None if value is None else account_key(value.get_secret_value())

    @field_validator("upload_prefix")
    @classmethod
    def _upload_prefix(cls, value: str | None) -> str | None:
        if value is None:
            return None
        if value.startswith("/") or any(part in (".", "..") for part in value.split("/")):
            raise ValueError("must not begin with '/' or have a part '.' or '..'")
        return value if value.endswith("/") else value + "/"

    @field_validator("ca_certificate")
    @classmethod
    def _ca_certificate(cls, value: str | None) -> str | None:
        if value is not None:
            trusting(value)
        return value

    @model_validator(mode="after")
    def _exactly_one_way(self) -> Self:
        given = [name for name in _SECRETS if getattr(self, name)]
        if self.connection_string is not None:
            others = [*(["account_url"] if self.account_url else []), *given]
            if others:
                raise FieldError(others[0], f"clashes with connection_string; give {_WAYS}")
            return self
        if len(given) > 1:
            raise FieldError(given[1], f"clashes with {given[0]}; keep one of them")
        if not given and self.account_url is None:
            raise ValueError(f"nothing says how to reach the account; give {_WAYS}")
        if not given:
            raise FieldError(
                "account_url", f"needs one of {', '.join(_SECRETS[:-1])} or {_SECRETS[-1]} beside it"
            )
        if self.account_url is None:
            raise FieldError("account_url", f"is needed beside {given[0]}")
        return self

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        account = self.account
        if account.key and account.name is None:
            raise FieldError(
                "account_url",
                "hides the account's name, which account_key needs; use its <account>.blob.… address, or a "
                "connection_string with AccountName and BlobEndpoint",
            )
        if account.entra and not account.endpoint.startswith("https://"):
            raise FieldError(
                "account_url", "must begin with https://: an Entra token must not be sent in the clear"
            )
        if self.upload_prefix is not None and self.read_only:
            raise FieldError(
                "upload_prefix", "is for a source that may write; set read_only to false beside it"
            )
        return self

    @property
    def account(self) -> BlobAccount:
        if self.connection_string is not None:
            return from_connection_string(self.connection_string.get_secret_value())
        endpoint, name = account_url(self.account_url or "")
        entra = self.credential is not None
        return BlobAccount(endpoint, name, key=self.account_key, sas=self.sas_token, entra=entra)

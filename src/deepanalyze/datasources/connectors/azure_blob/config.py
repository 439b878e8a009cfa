"""The configuration of an Azure Blob source: one container and exactly one way to open it."""

from __future__ import annotations

import re
from typing import Self

from pydantic import AliasChoices, BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from deepanalyze.datasources.connectors.azure_blob.account import (
    BlobAccount,
    account_key,
    account_url,
    from_connection_string,
    sas_token,
)

_CONTAINER = re.compile(r"\$(root|web|logs)|(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_WAYS = "connection_string, or account_url with sas_token, or account_url with account_key"


class AzureBlobConfig(BaseModel):
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
        description="The blob endpoint of the account, for use with sas_token or account_key. An emulator's names the "
        "account in its path: http://127.0.0.1:10000/devstoreaccount1.",
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
    read_only: bool = Field(
        default=True, description="Refuses uploads. Downloads and listings never change the container."
    )
    connect_timeout_s: float | None = Field(
        default=None,
        gt=0,
        le=300,
        description="Seconds to wait for a connection to the account; by default the server's setting (10).",
    )

    @field_validator("connection_string", "account_url", "sas_token", "account_key", mode="before")
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

    @model_validator(mode="after")
    def _exactly_one_way(self) -> Self:
        given = [
            n for n in ("connection_string", "account_url", "sas_token", "account_key") if getattr(self, n)
        ]
        if not given:
            raise ValueError(f"nothing says how to reach the account; give {_WAYS}")
        if "connection_string" in given and len(given) > 1:
            raise ValueError(f"connection_string clashes with {' and '.join(given[1:])}; give {_WAYS}")
        if "sas_token" in given and "account_key" in given:
            raise ValueError("sas_token clashes with account_key; keep one of them")
        if given == ["account_url"]:
            raise ValueError("account_url needs sas_token or account_key beside it")
        if "connection_string" not in given and "account_url" not in given:
            raise ValueError(f"{given[0]} needs account_url beside it")
        if self.account_key and self.account.name is None:
            raise ValueError(
                "the account's name cannot be read from account_url; use its <account>.blob.… address, or a "
                "connection_string with AccountName and BlobEndpoint"
            )
        return self

    @property
    def account(self) -> BlobAccount:
        if self.connection_string is not None:
            return from_connection_string(self.connection_string.get_secret_value())
        endpoint, name = account_url(self.account_url or "")
        return BlobAccount(endpoint, name, key=self.account_key, sas=self.sas_token)

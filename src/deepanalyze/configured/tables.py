"""The form of `[[data_sources]]` and `[[users]]`."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from deepanalyze.accounts import Role


class SourceTable(BaseModel):
    """One `[[data_sources]]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="its name in the API, as `sales`")
    type: str = Field(description="its source type, as `postgresql`")
    config: dict[str, Any] = Field(
        default_factory=dict, description="the parameters of its type; secrets by reference only"
    )
    metadata: dict[str, Any] = Field(default_factory=dict, description="anything to be kept beside it")


class GrantTable(BaseModel):
    """One grant of a user."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field(description="a source's name or id, or `*` for all shared sources")
    use: bool = Field(default=True, description="read from it")
    write: bool = Field(default=False, description="write to it, where the source is writable")


class UserTable(BaseModel):
    """One `[[users]]`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="the user's name")
    role: Role = Field(default="analyst", description="`admin` or `analyst`")
    grants: tuple[GrantTable, ...] = Field(
        default=(), description="what an analyst may do with shared sources"
    )
    api_key: SecretStr | None = Field(default=None, description="the user's API key, by reference only")
    api_key_file: str | None = Field(
        default=None, description="instead: the absolute path of a file that holds it"
    )

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.api_key is None) == (self.api_key_file is None):
            raise ValueError("needs either api_key or api_key_file")
        return self


def problems(model: type[BaseModel], error: ValidationError) -> Iterator[tuple[str, str]]:
    """Each field at fault, and what is wrong with it; never with its value."""
    for each in error.errors(include_input=False, include_url=False):
        place = ".".join(str(part) for part in each["loc"])
        if each["type"] == "extra_forbidden":
            yield place, _unknown(model if len(each["loc"]) == 1 else GrantTable, str(each["loc"][-1]))
        elif each["type"] == "missing":
            yield place, "is required"
        else:
            message = each["msg"].removeprefix("Value error, ")
            yield place, message[:1].lower() + message[1:]


def _unknown(model: type[BaseModel], name: str) -> str:
    near = difflib.get_close_matches(name, list(model.model_fields), n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(model.model_fields)}"
    return f"no such key; {hint}"

"""The shapes of what administrators send and get."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deepanalyze.accounts import Role

LAST_SECOND = 253_402_300_799  # of the year 9999

UserName = Annotated[
    str,
    Field(
        description="unique, whatever its case; 1 to 64 letters, digits and . _ @ + -",
        examples=["ada"],
        max_length=64,
    ),
]
KeyName = Annotated[
    str,
    Field(
        min_length=1,
        max_length=100,
        pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$",  # no control characters: it is shown in terminals
        description="yours, to tell keys apart",
    ),
]
Second = Annotated[int, Field(ge=0, le=LAST_SECOND)]
SourceNames = Annotated[list[Annotated[str, Field(max_length=100)]], Field(max_length=1000)]


class GrantObject(BaseModel):
    model_config = ConfigDict(extra="forbid")

    source_id: str = Field(
        max_length=100, description="id or name of a shared source, or `*` for all; kept by id"
    )
    use: bool = Field(default=True, description="read it")
    write: bool = Field(default=False, description="write to it, where the source is writable")


Grants = Annotated[list[GrantObject], Field(max_length=1000)]


class NewUser(BaseModel):
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"example": {"name": "ada", "role": "analyst", "grants": [{"source_id": "*"}]}},
    )

    name: UserName
    role: Role = "analyst"
    grants: Grants = Field(default_factory=list)


class UserChange(BaseModel):
    model_config = ConfigDict(extra="forbid", json_schema_extra={"example": {"role": "admin"}})

    name: UserName | None = Field(default=None, description="stays when left out")
    role: Role | None = Field(default=None, description="stays when left out")
    grants: Grants | None = Field(default=None, description="all of them; they stay when left out")


class UserObject(BaseModel):
    id: str = Field(examples=["user-0f5c4d2e9b3a4c1d8e7f6a5b"])
    object: Literal["user"] = "user"
    name: str
    role: Role
    grants: list[GrantObject]
    created_at: int


class UserDeleted(BaseModel):
    id: str
    object: Literal["user"] = "user"
    deleted: Literal[True] = True


class NewApiKey(BaseModel):
    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"name": "laptop", "user": "ada", "sources": ["sales"]}}
    )

    name: KeyName
    user: str = Field(max_length=64, description="name or id; an unknown one is made")
    role: Role | None = Field(default=None, description="of a user that is made here; `analyst` by default")
    sources: SourceNames | None = Field(
        default=None,
        description="narrows the user's grants to these sources (ids or names, or `*`); "
        "a user that is made here is granted them",
    )
    expires_at: Second | None = Field(default=None, description="Unix seconds; never when left out")


class ApiKeyObject(BaseModel):
    id: str = Field(examples=["key-0f5c4d2e9b3a4c1d8e7f6a5b"])
    object: Literal["api_key"] = "api_key"
    name: str
    user: str
    user_id: str
    prefix: str = Field(description="the key's first characters", examples=["sk-da-x7Qa"])
    sources: list[str] = Field(description="ids of the sources that it is narrowed to; `*`: not narrowed")
    created_at: int
    expires_at: int | None
    revoked_at: int | None
    last_used_at: int | None = Field(description="to the minute")


class ApiKeyMade(ApiKeyObject):
    key: str = Field(description="shown only now")


class ApiKeyRevoked(BaseModel):
    id: str
    object: Literal["api_key"] = "api_key"
    deleted: Literal[True] = True
    revoked_at: int


class ThreadsCleaned(BaseModel):
    status: Literal["success"] = "success"
    cleaned_threads: int
    timeout_hours: float
    timestamp: int


class ThreadsStats(BaseModel):
    total_threads: int
    recent_threads: int = Field(description="used within the last hour")
    old_threads: int = Field(description="not used for an hour, and not expired")
    expired_threads: int = Field(description="about to be removed")
    workspace_bytes: int = Field(description="on the disk, of all threads")
    timeout_hours: float = Field(description="a thread expires this long after its last use")
    timestamp: int


class PoolObject(BaseModel):
    in_use: int
    idle: int
    total: int
    waiting: int = Field(description="requests that wait for a connection now")
    max_size: int
    min_size: int
    opened: int = Field(description="connections, since the pool was made")
    failed: int = Field(description="attempts to connect, since the pool was made")
    waited: int = Field(description="requests that had to wait, since the pool was made")
    timed_out: int = Field(description="requests that waited in vain, since the pool was made")


class SourcePoolObject(BaseModel):
    object: Literal["pool"] = "pool"
    source_id: str
    name: str
    type: str
    pool: PoolObject | None = Field(description="null while nothing is connected, or without a pool")

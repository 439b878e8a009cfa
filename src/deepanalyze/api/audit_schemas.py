"""The shapes of the audit trail's answers."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class AuditRecord(BaseModel):
    object: Literal["audit_record"] = "audit_record"
    sequence: int = Field(description="its place in the chain, without gaps")
    created_at: int
    time_ms: int = Field(description="the same in milliseconds")
    action: str = Field(
        description="what was done, as the filter lists it",
        examples=["query"],
    )
    outcome: Literal["ok", "failed", "refused"]
    request_id: str | None = Field(description="`X-Request-ID` of the answer")
    object_type: str | None = Field(
        description="what it was done to: `data_source`, `user`, `api_key`, `thread`, `file`, `configuration`, "
        "`encryption_key` or `audit_trail`; of a fetch or an upload the thread, where `source_id` names the source",
        examples=["data_source"],
    )
    object_id: str | None
    user_id: str | None = Field(
        description="null where no key was right, for who used a signed link, and for what the server does by itself"
    )
    key_id: str | None = Field(description="null for the key from the settings")
    client_address: str | None
    source_id: str | None
    code: str | None = Field(description="the error's code, where it did not go well")
    duration_ms: float | None
    details: dict[str, Any]


class AuditVerification(BaseModel):
    object: Literal["audit_verification"] = "audit_verification"
    valid: bool
    records: int = Field(description="how many were found to be as they were written")
    pruned_through: int = Field(description="the newest record that retention removed; 0: none")
    head_sequence: int = Field(description="the newest record that was verified")
    head_mac: str = Field(
        description="its MAC; noted elsewhere, it proves later that nothing up to it was replaced"
    )
    first_broken: int | None = Field(description="the first record that is not as it was written")
    reason: str | None

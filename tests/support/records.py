"""Records as the services make them, for tests of the store."""

from __future__ import annotations

from deepanalyze.accounts import ApiKey, Grant, User
from deepanalyze.analysis.records import (
    AnalysisRecord,
    EventRecord,
    MessageRecord,
    ThreadRecord,
    UploadedFile,
)
from deepanalyze.datasources.repository import StoredSource


def user(id: str = "user-1", name: str = "ada") -> User:
    return User(id, name, "analyst", (Grant("ds-1", use=True, write=True), Grant("*")), created_at=100)


def api_key(id: str = "key-1", user_id: str = "user-1", digest: str = "d" * 64) -> ApiKey:
    return ApiKey(
        id=id,
        user_id=user_id,
        name="laptop",
        prefix="sk-da-abcd",
        digest=digest,
        created_at=100,
        expires_at=2_000_000_000,
        sources=("ds-1", "ds-2"),
    )


def source(id: str = "ds-1", name: str = "sales", version: int = 1) -> StoredSource:
    return StoredSource(
        id=id,
        type="postgresql",
        name=name,
        config={"host": "db", "port": 5432, "nested": {"a": [1, None, "ü"]}},
        secrets={"password": "gAAAAA-ciphertext"},
        metadata={"team": "data"},
        created_at=100,
        updated_at=101,
        created_by="user-1",
        shared=False,
        status="ok",
        last_tested_at=102,
        version=version,
    )


def thread(id: str = "thread-1", owner_id: str = "user-1", at: int = 100) -> ThreadRecord:
    return ThreadRecord(id, owner_id, created_at=at, last_accessed_at=at, expires_at=at + 50)


def message(thread_id: str = "thread-1", seq: int = 1, content: object = "why?") -> MessageRecord:
    return MessageRecord(thread_id, seq, "user", content, 100, "chatcmpl-1", {"file_ids": ["file-1"]})


def analysis(id: str = "chatcmpl-1", thread_id: str = "thread-1", at: int = 100) -> AnalysisRecord:
    return AnalysisRecord(id, thread_id, "deepanalyze-profiler", "running", at)


def event(thread_id: str = "thread-1", n: int = 1) -> EventRecord:
    return EventRecord(thread_id, n, "chatcmpl-1", "text", {"text": f"piece {n} 😀"})


def uploaded(id: str = "file-1", owner_id: str = "user-1", at: int = 100) -> UploadedFile:
    return UploadedFile(id, owner_id, "sales.csv", 12, "assistants", at)

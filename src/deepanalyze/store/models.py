"""The tables. Columns are named as the fields of the records that they keep, so a row unpacks into its record.

Owners and creators are no foreign keys: what happens to a deleted user's threads, files and sources is decided by the
services, which have more to remove than rows.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
    }
)

users = Table(
    "users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(64), nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("grants", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

api_keys = Table(
    "api_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("prefix", String(32), nullable=False),
    Column("digest", String(64), nullable=False, unique=True),
    Column("created_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),
    Column("sources", JSON, nullable=False),
)

data_sources = Table(
    "data_sources",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("type", String(64), nullable=False),
    Column("name", String(64), nullable=False, unique=True),
    Column("config", JSON, nullable=False),
    Column("secrets", JSON, nullable=False),
    Column("metadata", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("created_by", String(64)),
    Column("shared", Boolean, nullable=False),
    Column("origin", String(16), nullable=False),
    Column("status", String(16), nullable=False),
    Column("last_tested_at", BigInteger),
    Column("version", Integer, nullable=False),
)

files = Table(
    "files",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner_id", String(64), nullable=False),
    Column("filename", Text, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("purpose", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index(None, "owner_id", "created_at", "id"),
)

threads = Table(
    "threads",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner_id", String(64), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("last_accessed_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Index(None, "owner_id", "created_at", "id"),
)


def _thread_id(*, primary_key: bool = False) -> Column[str]:
    return Column(
        "thread_id", ForeignKey("threads.id", ondelete="CASCADE"), nullable=False, primary_key=primary_key
    )


analyses = Table(
    "analyses",
    metadata,
    Column("id", String(64), primary_key=True),
    _thread_id(),
    Column("model", Text, nullable=False),
    Column("status", String(16), nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger),
    Column("error", JSON(none_as_null=True)),
    Index(None, "thread_id", "created_at"),
)

messages = Table(
    "messages",
    metadata,
    _thread_id(primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("content", JSON, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("analysis_id", String(64)),
    Column("extra", JSON, nullable=False),
)

events = Table(
    "events",
    metadata,
    _thread_id(primary_key=True),
    Column("n", Integer, primary_key=True),
    Column("analysis_id", String(64), nullable=False),
    Column("type", String(16), nullable=False),
    Column("data", JSON, nullable=False),
)

audit_records = Table(
    "audit_records",
    metadata,
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("time_ms", BigInteger, nullable=False, index=True),
    Column("action", String(32), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("request_id", Text),
    Column("user_id", String(64)),
    Column("key_id", String(64)),
    Column("client_address", Text),
    Column("source_id", String(64)),
    Column("code", String(64)),
    Column("duration_ms", Float),
    Column("details", Text, nullable=False),
    Column("mac", String(64), nullable=False),
    Column("object_type", String(32)),
    Column("object_id", String(64)),
    Index(None, "user_id", "sequence"),
    Index(None, "source_id", "sequence"),
    Index(None, "object_id", "sequence"),
)

audit_marks = Table(
    "audit_marks",
    metadata,
    Column("name", String(16), primary_key=True),
    Column("sequence", Integer, nullable=False),
    Column("mac", String(64), nullable=False),
    Column("signature", String(64), nullable=False),
)

audit_keys = Table(
    "audit_keys",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("sealed", Text, nullable=False),
)

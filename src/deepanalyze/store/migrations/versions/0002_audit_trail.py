"""The audit trail."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TRIGGERS = (
    """
    CREATE TRIGGER audit_records_stay_as_they_are BEFORE UPDATE ON audit_records
    BEGIN SELECT RAISE(ABORT, 'audit records are never changed'); END
    """,
    """
    CREATE TRIGGER audit_records_stay BEFORE DELETE ON audit_records
    WHEN OLD.sequence > COALESCE((SELECT sequence FROM audit_marks WHERE name = 'checkpoint'), 0)
    BEGIN SELECT RAISE(ABORT, 'audit records are only removed behind a checkpoint'); END
    """,
)


def upgrade() -> None:
    op.create_table(
        "audit_marks",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("sequence", sa.Integer(), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_audit_marks")),
    )
    op.create_table(
        "audit_records",
        sa.Column("sequence", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time_ms", sa.BigInteger(), nullable=False),
        sa.Column("action", sa.String(length=32), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=True),
        sa.Column("user_id", sa.String(length=64), nullable=True),
        sa.Column("key_id", sa.String(length=64), nullable=True),
        sa.Column("client_address", sa.Text(), nullable=True),
        sa.Column("source_id", sa.String(length=64), nullable=True),
        sa.Column("code", sa.String(length=64), nullable=True),
        sa.Column("duration_ms", sa.Float(), nullable=True),
        sa.Column("details", sa.Text(), nullable=False),
        sa.Column("mac", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_audit_records")),
    )
    for columns in (["time_ms"], ["user_id", "sequence"], ["source_id", "sequence"]):
        name = op.f(f"ix_audit_records_{'_'.join(columns)}")
        op.create_index(name, "audit_records", columns, unique=False)
    for trigger in _TRIGGERS:
        op.execute(trigger)

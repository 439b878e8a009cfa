"""What a deed was done to."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.add_column("audit_records", sa.Column("object_type", sa.String(length=32), nullable=True))
    op.add_column("audit_records", sa.Column("object_id", sa.String(length=64), nullable=True))
    op.create_index(
        op.f("ix_audit_records_object_id_sequence"), "audit_records", ["object_id", "sequence"], unique=False
    )

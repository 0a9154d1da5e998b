"""Records are held first and judged after; alarms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

UTC = sa.DateTime(timezone=True)
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "alarm",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("device_id", sa.String(length=63), nullable=True),
        sa.Column("subject", sa.String(length=100), nullable=False),
        sa.Column("detail", sa.String(length=500), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.Column("first_at", UTC, nullable=False),
        sa.Column("last_at", UTC, nullable=False),
        sa.Column("cleared_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_alarm")),
    )
    for name, columns, of in (
        ("uq_alarm_device", ["kind", "device_id", "subject"], "cleared_at IS NULL AND device_id IS NOT NULL"),
        ("uq_alarm_centre", ["kind", "subject"], "cleared_at IS NULL AND device_id IS NULL"),
    ):
        op.create_index(name, "alarm", columns, unique=True, sqlite_where=sa.text(of), postgresql_where=sa.text(of))

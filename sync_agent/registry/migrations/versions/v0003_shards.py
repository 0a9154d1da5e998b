"""Sync agents side by side and the shards they hold."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

UTC = sa.DateTime(timezone=True)
SHARDS = 64


def upgrade() -> None:
    """Take the step."""
    op.create_table(
        "live_agent",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("started_at", UTC, nullable=False),
        sa.Column("beat_at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_live_agent")),
    )
    shard = op.create_table(
        "shard",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=True),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("since", UTC, nullable=True),
        sa.Column("expires_at", UTC, nullable=True),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_shard")),
    )
    op.bulk_insert(shard, [{"number": number, "fence": 0} for number in range(SHARDS)])

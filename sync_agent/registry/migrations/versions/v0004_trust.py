"""Enrolment over the network, keys in rotation."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

UTC = sa.DateTime(timezone=True)
JSON = sa.JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Take the step."""
    for column in (
        sa.Column("pem", sa.String(length=4096), nullable=False, server_default=""),
        sa.Column("key_digest", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("issuer", sa.String(length=64), nullable=False, server_default=""),
        sa.Column("issued_at", UTC, nullable=True),
    ):
        op.add_column("device_certificate", column)
    op.create_table(
        "invitation",
        sa.Column("id", sa.String(length=6), nullable=False),
        sa.Column("device_id", sa.String(length=63), nullable=False),
        sa.Column("serial", sa.String(length=64), nullable=False),
        sa.Column("site_id", sa.String(length=64), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("made_at", UTC, nullable=False),
        sa.Column("ends_at", UTC, nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("request", JSON, nullable=True),
        sa.Column("keys", sa.String(length=130), nullable=False),
        sa.Column("number", sa.String(length=14), nullable=False),
        sa.Column("asked_at", UTC, nullable=True),
        sa.Column("standing", sa.String(length=32), nullable=True),
        sa.Column("decided_at", UTC, nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitation")),
    )
    op.create_index(op.f("ix_invitation_device_id"), "invitation", ["device_id"], unique=False)
    op.create_table(
        "trust_list",
        sa.Column("number", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", JSON, nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("why", sa.String(length=300), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_trust_list")),
    )
    op.create_table(
        "device_trust",
        sa.Column("device_id", sa.String(length=63), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("replace_key", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["device_id"], ["device.id"], name=op.f("fk_device_trust_device_id")),
        sa.PrimaryKeyConstraint("device_id", name=op.f("pk_device_trust")),
    )
    op.create_table(
        "renewal_seen",
        sa.Column("nonce", sa.String(length=32), nullable=False),
        sa.Column("at", UTC, nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_renewal_seen")),
    )

"""Records are held first and judged after; alarms."""

from __future__ import annotations

import hashlib

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0002"
down_revision = "0001"

UTC = sa.DateTime(timezone=True)
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


SHARDS = 64


def upgrade() -> None:
    """Take the step."""
    _make_alarms()
    _widen_records()
    _date_gaps()
    _keep_tips()
    op.add_column("device_status", sa.Column("nonces", sa.String(length=1040), nullable=False, server_default=""))
    for column in (
        sa.Column("device_id", sa.String(length=63), nullable=True),
        sa.Column("epoch", sa.String(length=16), nullable=True),
        sa.Column("seq", sa.Integer(), nullable=True),
    ):
        op.add_column("quarantine", column)
    op.create_index("ix_quarantine_device_id_epoch_seq", "quarantine", ["device_id", "epoch", "seq"])


def _make_alarms() -> None:
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


def _widen_records() -> None:
    op.add_column("record", sa.Column("shard", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("record", sa.Column("clock", sa.String(length=32), nullable=True))
    op.add_column("record", sa.Column("tries", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("record", sa.Column("try_after", UTC, nullable=True))
    if op.get_context().dialect.name == "postgresql":
        op.alter_column("record", "standing", existing_type=sa.String(length=32), nullable=True)
        # What is signed and sealed does not get shorter: nobody need try.
        op.execute("ALTER TABLE record ALTER COLUMN message SET STORAGE EXTERNAL")
    else:
        # SQLite cannot lift NOT NULL, and a table that others refer to cannot be made anew inside a transaction.
        op.add_column("record", sa.Column("standing_or_none", sa.String(length=32), nullable=True))
        op.execute("UPDATE record SET standing_or_none = standing")
        op.drop_column("record", "standing")
        op.alter_column("record", "standing_or_none", new_column_name="standing")
    connection = op.get_bind()
    for device in connection.scalars(sa.text("SELECT DISTINCT device_id FROM record")).all():
        shard = hashlib.sha256(device.encode()).digest()[0] % SHARDS
        connection.execute(
            sa.text("UPDATE record SET shard = :shard WHERE device_id = :device"), {"shard": shard, "device": device}
        )
    unjudged = sa.text("standing IS NULL")
    columns = ["shard", "device_id", "epoch", "seq"]
    op.create_index("ix_record_unjudged", "record", columns, sqlite_where=unjudged, postgresql_where=unjudged)


def _date_gaps() -> None:
    """Gaps say since when; of those there are it is known that they were there at the last change."""
    json_ = sa.JSON().with_variant(JSONB(), "postgresql")
    seen = sa.table(
        "device_seen", sa.column("device_id"), sa.column("epoch"), sa.column("gaps", json_), sa.column("updated_at", UTC)
    )
    connection = op.get_bind()
    for row in connection.execute(sa.select(seen)).all():
        if row.gaps:
            since = row.updated_at.isoformat() if row.updated_at.tzinfo else row.updated_at.isoformat() + "+00:00"
            gaps = [{"first": first, "last": last, "since": since} for first, last in row.gaps]
            one = (seen.c.device_id == row.device_id, seen.c.epoch == row.epoch)
            connection.execute(sa.update(seen).where(*one).values(gaps=gaps))


def _keep_tips() -> None:
    """Of every chain the digest, start and time of the highest record are kept beside it."""
    genesis = "0" * 64
    for column in (
        sa.Column("last_digest", sa.String(length=64), nullable=False, server_default=genesis),
        sa.Column("last_boot", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("last_time", UTC, nullable=True),
    ):
        op.add_column("device_seen", column)
    here = "record.device_id = device_seen.device_id AND record.epoch = device_seen.epoch AND record.seq = device_seen.upto"
    values = ", ".join(f"last_{name} = (SELECT {name} FROM record WHERE {here})" for name in ("digest", "boot", "time"))
    op.execute(f"UPDATE device_seen SET {values} WHERE EXISTS (SELECT 1 FROM record WHERE {here})")

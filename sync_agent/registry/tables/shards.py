"""Sync agents side by side, and which of them holds which shard. All times are by the database's clock."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import BigInteger, String
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.registry.tables.base import Base


class LiveAgent(Base):
    """A sync agent process that takes records. Deleted when it stops; of one that was killed the beat stays behind."""

    __tablename__ = "live_agent"

    id: Mapped[str] = mapped_column(String(64), primary_key=True, doc="Host, process, and something random.")
    started_at: Mapped[datetime]
    beat_at: Mapped[datetime]


class Shard(Base):
    """A share of the devices (`contract.topics.shard`), held by at most one sync agent. The 64 rows come with the migration."""

    __tablename__ = "shard"

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    owner: Mapped[str | None] = mapped_column(String(64), doc="Id of the sync agent; it need not be alive any more.")
    fence: Mapped[int] = mapped_column(BigInteger, doc="Counts the takings: who holds an older number holds the shard no longer.")
    since: Mapped[datetime | None] = mapped_column(doc="When the owner took it.")
    expires_at: Mapped[datetime | None] = mapped_column(doc="From then on anybody may take it.")

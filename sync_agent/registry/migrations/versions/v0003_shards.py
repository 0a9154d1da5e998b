"""Sync agents side by side and the shards they hold."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Take the step."""

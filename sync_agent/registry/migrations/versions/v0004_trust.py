"""Enrolment over the network, keys in rotation."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Take the step."""

"""The sync agents side by side: who is alive, who holds which shards, and what nobody holds."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.registry.database import clock
from sync_agent.registry.tables import LiveAgent, Shard

TTL: Final = timedelta(seconds=10)
"""A lease holds so long after its last renewal; an agent that gave no sign for so long counts no more."""


@dataclass(frozen=True, slots=True)
class AgentLine:
    """One sync agent.

    Attributes:
        beat_at: its last sign of life, by the database's clock, like every time here.
        is_live: whether that is recent enough to count.
        shards: what it holds, rising.
        since: when it took the last of them.
    """

    id: str
    started_at: datetime
    beat_at: datetime
    is_live: bool
    shards: tuple[int, ...]
    since: datetime | None

    def __str__(self) -> str:
        state = "live" if self.is_live else f"silent since {self.beat_at:%Y-%m-%d %H:%M:%S}Z"
        since = f", the last since {self.since:%Y-%m-%d %H:%M:%S}Z" if self.since else ""
        held = f"holds {len(self.shards)} ({ranges(self.shards)}){since}" if self.shards else "holds none"
        return f"{self.id}: {state}, started {self.started_at:%Y-%m-%d %H:%M:%S}Z, {held}"


@dataclass(frozen=True, slots=True)
class Agents:
    """All sync agents, and the shards whose records nobody takes at this moment."""

    lines: tuple[AgentLine, ...]
    unheld: tuple[int, ...]

    def __str__(self) -> str:
        lines = [str(line) for line in self.lines] or ["No sync agent takes records."]
        return "\n".join([*lines, f"Held by nobody: {ranges(self.unheld)}"] if self.unheld else lines)


def look(session: Session) -> Agents:
    """Return who holds what, at this moment."""
    now = clock(session)
    shards = session.scalars(select(Shard).order_by(Shard.number)).all()
    held = [row for row in shards if row.owner is not None and row.expires_at is not None and row.expires_at >= now]
    owned: dict[str, list[Shard]] = {}
    for row in held:
        owned.setdefault(row.owner or "", []).append(row)
    lines = []
    for agent in session.scalars(select(LiveAgent).order_by(LiveAgent.started_at, LiveAgent.id)):
        own = owned.get(agent.id, [])
        since = max((row.since for row in own if row.since is not None), default=None)
        numbers = tuple(row.number for row in own)
        lines.append(AgentLine(agent.id, agent.started_at, agent.beat_at, agent.beat_at > now - TTL, numbers, since))
    numbers_held = {row.number for row in held}
    return Agents(tuple(lines), tuple(row.number for row in shards if row.number not in numbers_held))


def ranges(numbers: tuple[int, ...]) -> str:
    """Return rising numbers in short: ``0-21, 40``."""
    runs = [[number for _, number in run] for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0])]
    return ", ".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)

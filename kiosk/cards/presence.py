"""What every kind of reader shares: telling a status to all who listen, and waiting until a card lies still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from kiosk.cards.reader import ReaderAbsent, ReaderStatus
from kiosk.clock import Clock
from sync_agent.contract.kinds import PartHealth, PartState

ABSENT: Final = (PartState.ABSENT, ReaderAbsent.code)


class _Link:
    """One status in the chain of all that were ever announced; whoever listens walks along it, so nobody misses one."""

    __slots__ = ("followed", "following", "status")

    def __init__(self, status: ReaderStatus | None) -> None:
        self.status = status
        self.followed = asyncio.Event()
        self.following: _Link | None = None


class Presence:
    """The status of a reader and everyone who listens to it. Belongs to the event loop's thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._status = ReaderStatus(PartHealth(state=ABSENT[0], code=ABSENT[1], since=clock.now()), has_card=False)
        self._last = _Link(self._status)

    @property
    def status(self) -> ReaderStatus:
        """The status now."""
        return self._status

    def announce(self, state: PartState, code: str, *, has_card: bool) -> None:
        """Tell everyone who listens, if anything changed. Time counts from the change of state or code."""
        health = self._status.health
        if (health.state, health.code) != (state, code):
            health = PartHealth(state=state, code=code, since=self._clock.now())
        status = ReaderStatus(health, has_card)
        if status != self._status:
            self._status = status
            self._append(_Link(status))

    def close(self) -> None:
        """End every `changes`."""
        self._append(_Link(None))

    def changes(self) -> AsyncIterator[ReaderStatus]:
        """Yield the status as it is at this call, then every change of it, until `close`."""
        return _walk(self._last)

    def _append(self, link: _Link) -> None:
        self._last.following = link
        self._last.followed.set()
        self._last = link


async def _walk(link: _Link | None) -> AsyncIterator[ReaderStatus]:
    while link is not None and link.status is not None:
        yield link.status
        await link.followed.wait()
        link = link.following


@dataclass(frozen=True, slots=True)
class Arrival:
    """One card put down once.

    Attributes:
        reader: name of the PC/SC reader it lies on.
        count: the service's count of insertions and removals there, so that a card swapped between two looks is another arrival.
    """

    reader: str
    count: int


class Settling:
    """Believes a card only when it has lain still for a while, and its leaving at once."""

    def __init__(self, still_s: float) -> None:
        self._still_s = still_s
        self._seen: Arrival | None = None
        self._since = 0.0

    def see(self, arrival: Arrival | None, at: float) -> Arrival | None:
        """Return the card that has lain still long enough, if any.

        Args:
            arrival: what lies there now.
            at: monotonic seconds.
        """
        if arrival != self._seen:
            self._seen, self._since = arrival, at
        return arrival if self.left_s(at) is None else None

    def left_s(self, at: float) -> float | None:
        """Return the seconds until the card that was seen last is believed; None when there is nothing to wait for."""
        if self._seen is None or at - self._since >= self._still_s:
            return None
        return self._still_s - (at - self._since)

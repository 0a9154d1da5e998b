"""The self-test: how each part is, a record of it at every change, and which faults close the counter (S06, S13)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Final

import structlog

from kiosk.clock import Clock
from sync_agent.contract.kinds import Health, PartHealth, PartState

log = structlog.get_logger(__name__)

CLOSING: Final = ("reader", "storage")
"""Parts without which no visit can end in a record. Without camera or face model a person compares instead (P03)."""

CHECK_S: Final = 1.0
"""How often the parts are asked, seconds; a fault must show within five (S06)."""


@dataclass(frozen=True, slots=True)
class Closed:
    """Why the counter is closed."""

    part: str
    code: str


class SelfTest:
    """Asks every part how it is and tells what changed."""

    def __init__(
        self, parts: Mapping[str, Callable[[], PartHealth]], on_change: Callable[[Health], Awaitable[None]], clock: Clock
    ) -> None:
        """Prepare the test.

        Args:
            parts: what to ask, by name.
            on_change: given the whole result at start and at every change.
            clock: when a fault began.
        """
        self._parts = parts
        self._on_change = on_change
        self._clock = clock
        self._changed = asyncio.Condition()
        self._last: dict[str, PartHealth] = {}

    async def run(self) -> None:
        """Check until cancelled."""
        while True:
            await self.check()
            await asyncio.sleep(CHECK_S)

    async def check(self) -> None:
        """Ask every part once; tell when state or code of one is another than last time."""
        now = {name: ask() for name, ask in self._parts.items()}
        if _essence(now) == _essence(self._last):
            return
        for name, part in now.items():
            if part.state is not PartState.WELL:
                log.warning("health.fault", part=name, state=part.state.value, code=part.code)
        self._last = now
        async with self._changed:
            self._changed.notify_all()
        await self._on_change(Health(version=version("renzheng"), parts=now))

    async def other_than(self, closed: Closed | None) -> None:
        """Wait until `closed` says something else than what was seen; return at once where it does so already."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.closed() != closed)

    def closed(self) -> Closed | None:
        """Say why no visit may begin, or None."""
        for name in CLOSING:
            part = self._last.get(name)
            if part is not None and part.state is not PartState.WELL:
                return Closed(name, part.code)
        return None


def _essence(parts: Mapping[str, PartHealth]) -> dict[str, tuple[PartState, str]]:
    return {name: (part.state, part.code) for name, part in parts.items()}

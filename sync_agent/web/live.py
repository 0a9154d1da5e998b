"""Keeps every open page up to date: one reader a process looks at the registry, and all listeners hear what changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from dataclasses import dataclass, replace

import structlog
from sqlalchemy.exc import SQLAlchemyError

from sync_agent.registry.protect import CannotUnseal
from sync_agent.web.board import Board

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Sight:
    """What is known at a moment.

    Attributes:
        board: what was read last; None before the first reading.
        is_stale: the last reading failed.
    """

    board: Board | None = None
    is_stale: bool = False


class Live:
    """Looks at most once in a given time, and only while somebody listens. Belongs to one event loop."""

    def __init__(self, look: Callable[[], Board], every_s: float) -> None:
        """Prepare.

        Args:
            look: reads the registry; called in a thread.
            every_s: pause between two readings.
        """
        self._look = look
        self._every_s = every_s
        self._sight = Sight()
        self._changed = asyncio.Condition()
        self._listeners = 0

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda: self._listeners > 0)
            await self._refresh()
            await asyncio.sleep(self._every_s)

    async def listen(self) -> AsyncGenerator[Sight]:
        """Yield what is known, and again after every change. A slow listener misses what lies between, never the last."""
        async with self._changed:
            self._listeners += 1
            self._changed.notify_all()
        try:
            heard = Sight()
            while True:
                async with self._changed:
                    while self._sight == heard:
                        await self._changed.wait()
                    heard = self._sight
                yield heard
        finally:
            self._listeners -= 1

    async def _refresh(self) -> None:
        try:
            seen = Sight(await asyncio.to_thread(self._look))
        except (SQLAlchemyError, CannotUnseal) as failure:
            seen = replace(self._sight, is_stale=True)
            if not self._sight.is_stale:
                log.error("page.cannot-read", failure=type(failure).__name__)
        if seen != self._sight:
            async with self._changed:
                self._sight = seen
                self._changed.notify_all()


@contextlib.asynccontextmanager
async def running(live: Live) -> AsyncIterator[None]:
    """Have `live` look for the duration of the block."""
    task = asyncio.create_task(live.run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

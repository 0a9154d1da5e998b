"""A screen for tests of what happens between pages: it remembers every page and is touched by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from kiosk.cameras.base import Frame
from kiosk.screens.pages import Page, Touch


class Sheet:
    """Implements `kiosk.waiting.Screen` without drawing."""

    def __init__(self) -> None:
        self.shown: list[Page] = []
        self.pictures: list[Frame | None] = []
        self.wiped = 0
        self._touches: asyncio.Queue[Touch] = asyncio.Queue()
        self._turned = asyncio.Event()

    def show(self, page: Page) -> None:
        self.shown.append(page)
        self._turned.set()

    def preview(self, frame: Frame | None) -> None:
        self.pictures.append(frame)

    async def touched(self) -> Touch:
        return await self._touches.get()

    def wipe(self) -> None:
        self.wiped += 1

    def touch(self, *touches: Touch) -> None:
        for touch in touches:
            self._touches.put_nowait(touch)

    def drop_touches(self) -> None:
        """What the real window does when another kind of page comes."""
        while not self._touches.empty():
            self._touches.get_nowait()

    async def until(self, kind: type[Page]) -> Page:
        """Return the page on show once it is of a kind."""
        return await self.until_so(lambda page: isinstance(page, kind))

    async def until_so(self, so: Callable[[Page], bool]) -> Page:
        """Return the page on show once something is true of it."""
        async with asyncio.timeout(5):
            while not self.shown or not so(self.shown[-1]):
                self._turned.clear()
                await self._turned.wait()
        return self.shown[-1]

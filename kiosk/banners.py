"""Puts the banner on every page: what does not work now, without stopping what still works."""

from __future__ import annotations

from dataclasses import replace

from kiosk.cameras.base import Frame
from kiosk.screens.pages import Page, Text, Touch
from kiosk.uplink.line import KioskEnd
from kiosk.waiting import Screen


class Bannered:
    """A screen whose pages say when the kiosk is offline."""

    def __init__(self, screen: Screen, line: KioskEnd) -> None:
        self._screen = screen
        self._line = line
        self._page: Page | None = None

    async def run(self) -> None:
        """Keep the banner true while a page stands, until cancelled."""
        while True:
            await self._line.news()
            if self._page is not None:
                self.show(self._page)

    def show(self, page: Page) -> None:
        """Fill the screen with a page and its banner."""
        self._page = page
        self._screen.show(replace(page, banner=None if self._line.link.is_up else Text("banner.offline")))

    def preview(self, frame: Frame | None) -> None:
        """Show a picture of the camera where the page has a place for one."""
        self._screen.preview(frame)

    async def touched(self) -> Touch:
        """Wait for the next touch of something the page offers."""
        return await self._screen.touched()

    def wipe(self) -> None:
        """Forget everything of the visit."""
        self._page = None
        self._screen.wipe()

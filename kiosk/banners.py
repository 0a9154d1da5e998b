"""Puts the banner on every page: what does not work now, without stopping what still works."""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from kiosk.cameras.base import Frame
from kiosk.screens.pages import Page, Text, Touch
from kiosk.uplink.line import KioskEnd
from kiosk.uplink.link import LinkState, Trouble
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
        self._screen.show(replace(page, banner=of_link(self._line.link)))

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


def of_link(link: LinkState) -> Text | None:
    """Say why records do not go out: what waiting mends in plain words, what staff must mend with what to do and its code."""
    if link.is_up and link.trouble is Trouble.NONE:
        return None
    code = {"code": link.trouble.value}
    match link.trouble:
        case Trouble.NONE | Trouble.UNREACHABLE | Trouble.LOST:
            return Text("banner.offline")
        case Trouble.BROKER_NOT_TRUSTED:
            return Text("banner.link-certificate", code)
        case Trouble.BROKER_EXPIRED | Trouble.CLOCK_BEHIND:
            return Text("banner.link-clock", code)
        case Trouble.EXPIRED | Trouble.UNUSABLE:
            return Text("banner.link-own-certificate", code)
        case Trouble.REVOKED:
            return Text("banner.link-revoked", code)
        case Trouble.UNANSWERED:
            return Text("banner.link-unanswered", code)
        case Trouble.REFUSED:
            return Text("banner.link-refused", code)
        case _:
            assert_never(link.trouble)

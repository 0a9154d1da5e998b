"""Waiting for a visitor: the next touch, the idle deadline, "are you still there?"."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol, TypeVar

from kiosk.cameras.base import Frame
from kiosk.screens import pages
from kiosk.screens.pages import Page, Result, Touch
from kiosk.settings import VisitSettings

T = TypeVar("T")


class Screen(Protocol):
    """What the desk needs of the window."""

    def show(self, page: Page) -> None:
        """Fill the screen with a page."""

    def preview(self, frame: Frame | None) -> None:
        """Show a picture of the camera where the page has a place for one."""

    async def touched(self) -> Touch:
        """Wait for the next touch of something the page offers."""

    def wipe(self) -> None:
        """Forget everything of the visit: personal texts, preview, events under way."""


class BrokenOff(Exception):
    """The visitor ends the visit before its end."""


class Left(BrokenOff):
    """The visitor went, or did not answer 'are you still there?'."""


class HelpWanted(BrokenOff):
    """The visitor asks for a person (S63)."""


@asynccontextmanager
async def beside(what: Coroutine[Any, Any, T]) -> AsyncIterator[asyncio.Task[T]]:
    """Run something beside the block; when the block ends it has ended too."""
    task = asyncio.ensure_future(what)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


class Waiting:
    """Shows pages and waits for the person in front of them."""

    def __init__(self, screen: Screen, settings: VisitSettings) -> None:
        self._screen = screen
        self._settings = settings

    async def ask(self, page: Page) -> Touch:
        """Show a page until the visitor touches one of its answers.

        Raises:
            Left: the visitor left, or nobody answers any more.
            HelpWanted: the visitor asks for a person.
        """
        while True:
            self._screen.show(page)
            touch = await self._next_touch(self._settings.idle_s)
            if touch is not None:
                return touch
            await self._still_there()

    async def until(self, page: Page, what: Coroutine[Any, Any, T]) -> T:
        """Show a page until something happens.

        Raises:
            Left: the visitor left, or nobody is there any more.
            HelpWanted: the visitor asks for a person.
        """
        async with beside(what) as happening:
            while not happening.done():
                self._screen.show(page)
                touch = await self._next_touch(self._settings.idle_s, happening)
                if touch is None and not happening.done():
                    await self._still_there(happening)
            return happening.result()

    async def while_looking(self, what: Coroutine[Any, Any, T], told: Callable[[Touch], None]) -> T:
        """Let something run that shows its own pages and has its own deadline; only leaving and help end it early.

        Args:
            what: runs.
            told: is told of every other touch.
        """
        async with beside(what) as running:
            while not running.done():
                if (touch := await self._next_touch(None, running)) is not None:
                    told(touch)
            return running.result()

    async def _still_there(self, happening: asyncio.Future[Any] | None = None) -> None:
        """Ask 'are you still there?' and count down.

        Raises:
            Left: nobody answered.
        """
        for left in range(math.ceil(self._settings.still_there_s), 0, -1):
            self._screen.show(pages.StillThere(seconds_left=left))
            wait_s = min(1.0, self._settings.still_there_s - (left - 1))
            if await self._next_touch(wait_s, happening) is not None or (happening and happening.done()):
                return
        raise Left

    async def _next_touch(self, wait_s: float | None, happening: asyncio.Future[Any] | None = None) -> Touch | None:
        """Return the next touch, or None when the time is over or the other thing happened first.

        Raises:
            Left: it was a touch of "leave".
            HelpWanted: it was a touch of "help".
        """
        async with beside(self._screen.touched()) as touching:
            wanted: set[asyncio.Future[Any]] = {touching} if happening is None else {touching, happening}
            await asyncio.wait(wanted, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            touch = touching.result() if touching.done() else None
        match touch:
            case Touch.LEAVE:
                raise Left
            case Touch.HELP:
                raise HelpWanted
            case _:
                return touch

    async def until_seen(self, page: Result) -> None:
        """Show how it ended until the visitor touches it or has had time to read it, and to scan what is to be scanned."""
        self._screen.show(page)
        stays_s = self._settings.result_s if page.slip is None else self._settings.slip_s
        with suppress(TimeoutError):
            async with asyncio.timeout(stays_s):
                await self._screen.touched()

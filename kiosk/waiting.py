"""Waiting for a visitor: the next touch, the idle deadline, "are you still there?"."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol, TypeVar

from kiosk.cameras.base import Frame
from kiosk.screens import pages
from kiosk.screens.pages import Page, Touch
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


class Left(Exception):
    """The visitor went, or did not answer 'are you still there?'."""


class HelpWanted(Exception):
    """The visitor asks for a person (S63)."""


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
        happening = asyncio.ensure_future(what)
        try:
            while not happening.done():
                self._screen.show(page)
                touch = await self._next_touch(self._settings.idle_s, happening)
                if touch is None and not happening.done():
                    await self._still_there(happening)
            return happening.result()
        finally:
            happening.cancel()

    async def while_looking(self, what: Coroutine[Any, Any, T]) -> T:
        """Let something run that shows its own pages and has its own deadline; only leaving and help end it early."""
        running = asyncio.ensure_future(what)
        try:
            while not running.done():
                await self._next_touch(None, running)
            return running.result()
        finally:
            running.cancel()
            await asyncio.wait({running})

    async def _still_there(self, happening: asyncio.Future[Any] | None = None) -> None:
        """Ask 'are you still there?' and count down.

        Raises:
            Left: nobody answered.
        """
        for left in range(int(self._settings.still_there_s), 0, -1):
            self._screen.show(pages.StillThere(seconds_left=left))
            if await self._next_touch(1.0, happening) is not None or (happening and happening.done()):
                return
        raise Left

    async def _next_touch(self, wait_s: float | None, happening: asyncio.Future[Any] | None = None) -> Touch | None:
        """Return the next touch, or None when the time is over or the other thing happened first.

        Raises:
            Left: it was a touch of "leave".
            HelpWanted: it was a touch of "help".
        """
        touching = asyncio.ensure_future(self._screen.touched())
        wanted: set[asyncio.Future[Any]] = {touching} if happening is None else {touching, happening}
        try:
            await asyncio.wait(wanted, timeout=wait_s, return_when=asyncio.FIRST_COMPLETED)
            touch = touching.result() if touching.done() else None
        finally:
            touching.cancel()
        match touch:
            case Touch.LEAVE:
                raise Left
            case Touch.HELP:
                raise HelpWanted
            case _:
                return touch

    async def until_seen(self, page: Page) -> None:
        """Show how it ended until the visitor touches it or has had time to read it."""
        self._screen.show(page)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._screen.touched(), self._settings.result_s)

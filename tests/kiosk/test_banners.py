"""The banner: true on every page, also on one that stands while the connection comes and goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from kiosk.banners import Bannered, of_link
from kiosk.cameras.base import Frame
from kiosk.screens.pages import Attract, Face, Page, PresentCard, Text, Touch, Working
from kiosk.screens.words import Language, Words
from kiosk.uplink.line import KioskEnd, UplinkEnd
from kiosk.uplink.link import LinkState, Trouble
from kiosk.waiting import beside
from tests.kiosk.parts import Window

OFFLINE = Text("banner.offline")
PAGES: tuple[Page, ...] = (
    Attract(),
    PresentCard(state=Text("card.place")),
    Face(hint=Text("face.hint.good"), progress=0.5),
    Working(text=Text("working.sending")),
)


@asynccontextmanager
async def connected(folder: Path) -> AsyncIterator[tuple[UplinkEnd, Bannered, Window]]:
    """A screen on a real line to an uplink; the link is down at first."""
    end, line, window = UplinkEnd(folder / "uplink.sock"), KioskEnd(folder / "uplink.sock"), Window()
    screen = Bannered(window, line)
    await end.start(lambda _message: None)
    async with asyncio.timeout(5), beside(line.run()), beside(screen.run()):
        yield end, screen, window
    await end.stop()


def banner(window: Window) -> Text | None:
    return window.shown[-1].banner


@pytest.mark.parametrize("page", [pytest.param(page, id=type(page).__name__) for page in PAGES])
async def test_a_page_that_stands_says_when_the_connection_goes_and_when_it_is_back(page: Page, tmp_path: Path) -> None:
    async with connected(tmp_path) as (end, screen, window):
        screen.show(page)
        assert banner(window) == OFFLINE
        end.link_changed(LinkState(True, Trouble.NONE))
        assert (await window.until_so(lambda shown: shown.banner is None)) == page
        end.link_changed(LinkState(False, Trouble.UNREACHABLE))
        await window.until_so(lambda shown: shown.banner == OFFLINE)


@pytest.mark.parametrize("trouble", [trouble for trouble in Trouble if trouble])
def test_every_trouble_of_the_link_has_words_and_what_staff_must_mend_its_code(trouble: Trouble) -> None:
    text = of_link(LinkState(False, trouble))
    assert text is not None
    passes = trouble in (Trouble.UNREACHABLE, Trouble.LOST)
    assert all((trouble.value in Words(language).say(text)) is not passes for language in (Language.CHINESE, Language.ENGLISH))
    assert of_link(LinkState(True, Trouble.NONE)) is None


async def test_news_after_the_wipe_bring_no_page_back(tmp_path: Path) -> None:
    async with connected(tmp_path) as (end, screen, window):
        screen.show(Attract())
        screen.wipe()
        shown = len(window.shown)
        line = KioskEnd(tmp_path / "uplink.sock")
        async with beside(line.run()):
            end.link_changed(LinkState(True, Trouble.NONE))
            while not line.link.is_up:
                await line.news()
        assert (len(window.shown), window.wiped) == (shown, 1)
        screen.show(Attract())
        assert banner(window) is None, "the news had come"


async def test_touches_and_pictures_pass_through(tmp_path: Path) -> None:
    frame = Frame(1, 0.0, np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4, 4), np.uint8))
    async with connected(tmp_path) as (_, screen, window):
        screen.show(Attract())
        window.touch(Touch.START)
        assert await screen.touched() is Touch.START
        screen.preview(frame)
        assert window.pictures == [frame]

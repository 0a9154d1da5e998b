"""What cannot be opened at the start is said on the screen, with its code, until it can be."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from kiosk.opening import Opening, of_storage
from kiosk.screens.pages import OutOfService
from kiosk.screens.words import Language, Words
from kiosk.settings import Settings
from kiosk.uplink import identity
from kiosk.uplink.faults import OutboxFault
from kiosk.uplink.outbox import Outbox
from kiosk.waiting import beside
from tests.kiosk.parts import NOTICE
from tests.kiosk.screen import Sheet
from tests.kiosk.uplink.test_identity import DEVICE, answer


def enrol(settings: Settings) -> None:
    identity.begin(settings.identity_dir, DEVICE, "site-1", "")
    identity.finish(settings.identity_dir, answer())


@pytest.fixture
def new(tmp_path: Path) -> Settings:
    """Of a device that nobody has enrolled."""
    return Settings(state_dir=tmp_path, notice=NOTICE)


@pytest.fixture
def settings(new: Settings) -> Settings:
    enrol(new)
    new.outbox_path.parent.mkdir()
    return new


def damage(path: Path) -> None:
    path.write_bytes(b"no database at all " * 500)


def be_newer(path: Path) -> None:
    with closing(Outbox(path)), closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 99099")


def be_elsewhere(path: Path) -> None:
    path.parent.rmdir()
    path.parent.touch()


FAULTS = [(damage, "BOX-04", "damaged"), (be_newer, "BOX-06", "newer"), (be_elsewhere, "BOX-05", "out-of-reach")]


@pytest.mark.parametrize(("spoil", "code", "word"), FAULTS)
async def test_an_outbox_that_cannot_be_opened_is_said_until_it_can(
    settings: Settings, spoil: Callable[[Path], None], code: str, word: str
) -> None:
    path, screen = settings.outbox_path, Sheet()
    spoil(path)
    opening = Opening(settings, screen.show, again_s=0.01)
    async with asyncio.timeout(10), beside(opening.run()) as running:
        page = await screen.until_so(lambda page: isinstance(page, OutOfService))
        assert isinstance(page, OutOfService)
        assert (page.code, page.reason.key) == (code, f"out.storage-{word}")
        assert page.device == DEVICE
        assert opening.opened is None
        path.parent.rename(path.parent.with_name("put-aside"))
        await running
    assert opening.opened is not None
    opening.opened[1].close()


async def test_what_is_well_is_opened_without_a_word(settings: Settings) -> None:
    screen = Sheet()
    opening = Opening(settings, screen.show)
    async with asyncio.timeout(10):
        await opening.run()
    assert opening.opened is not None
    opening.opened[1].close()
    assert screen.shown == []


async def test_a_device_that_is_not_enrolled_says_so_and_begins_once_it_is(new: Settings) -> None:
    screen = Sheet()
    opening = Opening(new, screen.show, again_s=0.01)
    async with asyncio.timeout(10), beside(opening.run()) as running:
        page = await screen.until_so(lambda page: isinstance(page, OutOfService))
        assert isinstance(page, OutOfService)
        assert (page.code, page.reason.key) == (identity.NotEnrolled.code, "out.uplink")
        enrol(new)
        await running
    assert opening.opened is not None
    opening.opened[1].close()


@pytest.mark.parametrize("language", [Language.CHINESE, Language.ENGLISH])
@pytest.mark.parametrize("code", [kind.code for kind in OutboxFault.__subclasses__()])
def test_every_fault_of_the_outbox_has_words_for_a_closed_counter(code: str, language: Language) -> None:
    assert Words(language).say(of_storage(code))

"""The wiring: who is served when, and how everything ends together."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from kiosk import app
from kiosk.app import first_of, look_once, page_table, reason, serve, storage, until_stopped
from kiosk.cameras.base import Frame
from kiosk.cards.pages import PageTable
from kiosk.cards.reader import ReaderAbsent
from kiosk.clock import SystemClock
from kiosk.health import CLOSING, Closed, SelfTest
from kiosk.screens.pages import TAKE_BACK, Attract, OutOfService, Touch
from kiosk.screens.words import Language, Words
from kiosk.settings import PageSettings
from kiosk.uplink.faults import OutboxFull
from kiosk.waiting import beside
from sync_agent.contract.kinds import Health, PartState
from tests.kiosk.parts import Hall, Lens, hall

NO_DISK_MB = 10**9


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Hall]:
    with hall(tmp_path) as counter:
        yield counter


class Checked:
    """A counter whose reader and storage are really asked, by a test that the test runs."""

    def __init__(self, at: Hall) -> None:
        self.at = at
        self.min_free_mb = 1
        self.told: list[Health] = []
        clock = SystemClock()
        asks = {"reader": lambda: at.reader.status.health, "storage": lambda: storage(at.outbox, self.min_free_mb, clock)}
        self.test = SelfTest(asks, self.hear, clock)

    async def hear(self, health: Health) -> None:
        self.told.append(health)

    async def serve(self) -> None:
        await serve(self.at.desk, self.test, self.at.identity.device)

    async def closes(self, part: str) -> OutOfService:
        await self.test.check()
        await self.at.window.says(f"out.{part}")
        page = self.at.window.shown[-1]
        assert isinstance(page, OutOfService)
        return page

    async def opens(self) -> None:
        await self.test.check()
        await self.at.window.until(Attract)


async def test_the_counter_closes_without_a_reader_and_opens_again_with_it(at: Hall) -> None:
    checked = Checked(at)
    async with asyncio.timeout(5), beside(checked.serve()):
        await checked.opens()
        at.reader.unplug()
        page = await checked.closes("reader")
        assert (page.code, page.device) == (ReaderAbsent.code, "kiosk-01")
        at.reader.plug_in()
        await checked.opens()
    assert [health.parts["reader"].state for health in checked.told] == [PartState.WELL, PartState.ABSENT, PartState.WELL]


async def test_the_counter_closes_without_room_for_records_and_opens_again_with_it(at: Hall) -> None:
    checked = Checked(at)
    async with asyncio.timeout(5), beside(checked.serve()):
        await checked.opens()
        checked.min_free_mb = NO_DISK_MB
        assert (await checked.closes("storage")).code == OutboxFull.code
        checked.min_free_mb = 1
        await checked.opens()
        at.window.touch(Touch.START)
        await at.window.says("card.place")


async def test_a_closed_counter_says_the_reason_that_is_true_now(at: Hall) -> None:
    checked = Checked(at)
    checked.min_free_mb = NO_DISK_MB
    at.reader.unplug()
    async with asyncio.timeout(5), beside(checked.serve()):
        await checked.closes("reader")
        at.reader.plug_in()
        await checked.closes("storage")


async def test_a_card_left_on_the_reader_does_not_hide_that_the_counter_is_closed(at: Hall) -> None:
    checked = Checked(at)
    at.reader.put()
    async with asyncio.timeout(5), beside(checked.serve()):
        await at.window.says(TAKE_BACK)
        checked.min_free_mb = NO_DISK_MB
        await checked.closes("storage")


async def test_a_counter_that_closes_during_a_visit_lets_it_end(at: Hall) -> None:
    checked = Checked(at)
    async with asyncio.timeout(5), beside(checked.serve()):
        await checked.opens()
        at.window.touch(Touch.START)
        await at.window.says("card.place")
        checked.min_free_mb = NO_DISK_MB
        await checked.test.check()
        at.reader.put()
        await at.window.on("Consent", Touch.LEAVE)
        await at.window.says("out.storage")


@pytest.mark.parametrize("part", CLOSING)
@pytest.mark.parametrize("language", [Language.CHINESE, Language.ENGLISH])
def test_every_reason_for_being_closed_has_words(part: str, language: Language) -> None:
    assert Words(language).say(reason(Closed(part, "X-01")))


def test_the_page_table_is_what_the_settings_say() -> None:
    settings = PageSettings(
        mark="9000", mark_at=13, cla=0xFF, ins=0xB0, page_bytes=128, max_photo_bytes=2048, module_command="FFCA00"
    )
    assert page_table(settings) == PageTable(
        mark=b"\x90\x00",
        mark_at=13,
        cla=0xFF,
        ins=0xB0,
        page_bytes=128,
        max_photo_bytes=2048,
        module_command=b"\xff\xca\x00",
    )


# --- the camera's self-test -------------------------------------------------------------------------------------------


class Blind(Lens):
    """A camera that opens and gives nothing."""

    def newest(self) -> Frame | None:
        return None


async def test_the_camera_is_looked_through_once_and_closed_again() -> None:
    camera = Lens()
    await look_once(camera)
    assert (camera.openings, len(camera.frames), camera.is_open) == (1, 1, False)


async def test_a_camera_that_gives_nothing_does_not_hold_up_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "FIRST_FRAME_S", 0.05)
    missing, blind = Lens(), Blind()
    missing.is_there = False
    async with asyncio.timeout(5):
        await look_once(missing)
        await look_once(blind)
    assert not blind.is_open


# --- beginning and ending together --------------------------------------------------------------------------------------


async def forever() -> None:
    await asyncio.Event().wait()


async def at_once() -> None: ...


async def failing() -> None:
    raise ValueError


async def test_the_first_to_end_is_named_and_the_others_have_ended_too() -> None:
    before = asyncio.all_tasks()
    assert await first_of(forever(), at_once(), forever()) == 1
    assert asyncio.all_tasks() == before


async def test_the_failure_of_one_ends_all_and_is_raised() -> None:
    before = asyncio.all_tasks()
    async with asyncio.timeout(5):
        with pytest.raises(ValueError):
            await first_of(forever(), failing())
        with pytest.raises(ValueError):
            await until_stopped(forever(), failing())
    assert asyncio.all_tasks() == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_all_and_each_may_clear_up(number: signal.Signals) -> None:
    cleared = []
    running = asyncio.Event()

    async def careful() -> None:
        try:
            running.set()
            await forever()
        finally:
            await asyncio.sleep(0)
            cleared.append(True)

    async with asyncio.timeout(5), beside(until_stopped(careful(), forever())) as everything:
        await running.wait()
        os.kill(os.getpid(), number)
        await everything
    assert cleared == [True]


async def test_who_is_cancelled_from_outside_does_not_seem_to_have_ended_well() -> None:
    everything = asyncio.ensure_future(until_stopped(forever()))
    await asyncio.sleep(0)
    everything.cancel()
    await asyncio.wait({everything})
    assert everything.cancelled()

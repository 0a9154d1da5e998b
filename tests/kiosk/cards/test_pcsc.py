"""The PC/SC reader against a real pcscd, a virtual reader and a virtual card: reading, every fault, and coming back from it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from smartcard import scard
from structlog.testing import capture_logs

from kiosk.cards.kinds import ReaderKind, open_reader
from kiosk.cards.pages import PageTable
from kiosk.cards.reader import (
    CardFault,
    CardLifted,
    CardReader,
    DamagedCard,
    ReaderAbsent,
    ReaderStatus,
    ReaderStuck,
    UnknownCard,
)
from kiosk.clock import SystemClock
from sync_agent.contract.kinds import Finding, PartState
from system.simulate.card import MODULE_COMMAND, Content, Fault, VirtualCard
from system.simulate.pcscd import READER, Pcscd
from system.simulate.people import PEOPLE, WLT_FILLER, chip_portrait, text_record
from tests.kiosk.cards.vectors import VECTORS

pytestmark = [pytest.mark.pcsc, pytest.mark.root]

PORTRAIT = chip_portrait(cv2.applyColorMap(np.mgrid[0:252, 0:204][0].astype(np.uint8), cv2.COLORMAP_JET).astype(np.uint8))
ZHAXI = Content(text_record(PEOPLE["zhaxi"]), PORTRAIT)


class June(SystemClock):
    """The machine's clock on a fixed day, so that nobody's card expires under the tests."""

    def now(self) -> datetime:
        return datetime(2026, 6, 1, tzinfo=UTC)


@contextlib.asynccontextmanager
async def watching(name: str = READER, *, read_deadline_s: float = 5.0) -> AsyncIterator[CardReader]:
    """Run a reader for the block."""
    pages = PageTable(module_command=MODULE_COMMAND)
    reader = open_reader(ReaderKind.PCSC_PAGES, clock=June(), name=name, read_deadline_s=read_deadline_s, pages=pages)
    await reader.start()
    try:
        yield reader
    finally:
        await reader.stop()


async def until(reader: CardReader, condition: Callable[[ReaderStatus], bool], within_s: float = 5.0) -> ReaderStatus:
    """Return the first status that meets the condition."""
    async with asyncio.timeout(within_s):
        async for status in reader.changes():
            if condition(status):
                return status
    raise AssertionError("the reader was stopped")


async def card_down(reader: CardReader) -> None:
    await until(reader, lambda status: status.has_card)


async def no_card(reader: CardReader) -> None:
    await until(reader, lambda status: not status.has_card)


@contextlib.asynccontextmanager
async def laid_down(reader: CardReader, card: VirtualCard) -> AsyncIterator[None]:
    """Put the card down and have it seen for the block; then lift it and have that seen, so that the next finds nothing."""
    with card.down():
        await card_down(reader)
        yield
    await no_card(reader)


def virtual_card(service: Pcscd, fault: str = "", content: Content = ZHAXI) -> VirtualCard:
    return VirtualCard(content, port=service.port, fault=Fault.parse(fault) if fault else None)


def threads_and_handles() -> tuple[int, int]:
    """Return how many of each this process has; a reading's thread hands over what it read just before it ends."""
    for thread in threading.enumerate():
        if thread.name == "card-read":
            thread.join()
    return threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))


def is_well(status: ReaderStatus) -> bool:
    return status.health.state is PartState.WELL


@pytest.mark.parametrize("letter", VECTORS)
async def test_ok__every_layout_is_read(running_service: Pcscd, letter: str) -> None:
    vector = VECTORS[letter]
    card = virtual_card(running_service, content=Content(vector.record, PORTRAIT))
    async with watching() as reader, laid_down(reader, card):
        document = await reader.read()
    assert document.holder == vector.holder
    assert document.facts.kind is vector.kind and document.facts.findings == ()
    assert document.facts.reader_module == "05.03-20230115-001234567-987654321"
    assert document.portrait is not None
    assert document.portrait.image.shape == (126, 102, 3) and document.portrait.decoder.endswith("jpeg")


async def test_ok__a_card_that_lies_there_already_is_seen_and_read_twice(running_service: Pcscd) -> None:
    async with watching() as early, laid_down(early, virtual_card(running_service)), watching() as reader:
        await card_down(reader)
        assert [(await reader.read()).holder.name for _ in range(2)] == ["扎西顿珠"] * 2


async def test_ok__two_who_ask_at_once_are_served_one_after_the_other(running_service: Pcscd) -> None:
    async with watching() as reader, laid_down(reader, virtual_card(running_service)):
        first, second = await asyncio.gather(reader.read(), reader.read())
    assert first.holder == second.holder


async def test_ok__two_readers_on_one_card_share_it(running_service: Pcscd) -> None:
    async with watching() as one, watching() as other, laid_down(one, virtual_card(running_service)):
        await card_down(other)
        first, second = await asyncio.gather(one.read(), other.read())
    assert first.holder == second.holder


async def test_ok__an_expired_card_is_read_and_the_finding_reported(running_service: Pcscd) -> None:
    card = virtual_card(running_service, content=Content(text_record(PEOPLE["tashi-expired"]), PORTRAIT))
    async with watching() as reader, laid_down(reader, card):
        assert (await reader.read()).facts.findings == (Finding.EXPIRED,)


async def test_ok__a_wlt_portrait_has_no_decoder_and_the_log_says_so(running_service: Pcscd) -> None:
    with capture_logs() as logs:
        async with watching() as reader, laid_down(reader, virtual_card(running_service, "wlt-portrait")):
            document = await reader.read()
    assert document.portrait is None and document.holder.name == "扎西顿珠"
    assert [(line["format"], line["bytes"]) for line in logs if line["event"] == "card.no-decoder"] == [("wlt", len(WLT_FILLER))]


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ("lifted-after-page:0", CardLifted),
        ("lifted-after-page:3", CardLifted),
        ("truncated-page:0", DamagedCard),
        ("truncated-page:2", DamagedCard),
        ("corrupted-page:0", DamagedCard),
        ("corrupted-page:1", DamagedCard),
        ("unknown-flag", UnknownCard),
        ("unknown-card", UnknownCard),
        ("", None),  # the control: the same card without a fault
    ],
)
async def test_fail__each_fault_of_a_card_has_its_name(
    running_service: Pcscd, fault: str, raised: type[CardFault] | None
) -> None:
    with capture_logs() as logs:
        async with watching() as reader, laid_down(reader, virtual_card(running_service, fault)):
            with pytest.raises(raised) if raised else contextlib.nullcontext():
                await reader.read()
            assert is_well(reader.status)
    assert [line.get("code") for line in logs if line["event"] in ("card.read", "card.not-read")] == [raised and raised.code]


async def test_fail__a_card_lifted_before_anyone_reads_it(running_service: Pcscd) -> None:
    async with watching() as reader, laid_down(reader, virtual_card(running_service, "lifted-at:800")):
        await no_card(reader)
        with pytest.raises(CardLifted):
            await reader.read()


async def test_fail__a_silent_card_is_a_stuck_reader_and_the_event_loop_goes_on(running_service: Pcscd) -> None:
    ticks: list[float] = []
    loop = asyncio.get_running_loop()

    def tick() -> None:
        ticks.append(time.monotonic())
        ticking.append(loop.call_later(0.01, tick))

    ticking: list[asyncio.TimerHandle] = []
    async with watching(read_deadline_s=0.5) as reader:
        async with laid_down(reader, virtual_card(running_service, "silent-at-page:1")):
            tick()
            began = time.monotonic()
            with pytest.raises(ReaderStuck):
                await reader.read()
            assert 0.4 < time.monotonic() - began < 0.9
            ticking[-1].cancel()
            assert (reader.status.health.state, reader.status.health.code) == (PartState.FAILED, "CARD-05")
            began = time.monotonic()
            with pytest.raises(ReaderStuck):
                await reader.read()
            assert time.monotonic() - began < 0.1  # at once: the first call still hangs
        await until(reader, is_well)
        async with laid_down(reader, virtual_card(running_service)):
            assert (await reader.read()).holder.name == "扎西顿珠"
    assert len(ticks) > 20 and max(b - a for a, b in itertools.pairwise(ticks)) < 0.2


async def test_ok__a_reader_is_stopped_while_it_is_stuck(running_service: Pcscd) -> None:
    async with watching() as onlooker, laid_down(onlooker, virtual_card(running_service, "silent-at-page:0")):
        began = time.monotonic()
        async with watching(read_deadline_s=0.2) as reader:
            await card_down(reader)
            with pytest.raises(ReaderStuck):
                await reader.read()
        assert time.monotonic() - began < 4


async def test_ok__a_visit_broken_off_in_mid_read_leaves_the_reader_usable(running_service: Pcscd) -> None:
    async with watching() as reader, laid_down(reader, virtual_card(running_service)):
        visit = asyncio.create_task(reader.read())
        await asyncio.wait({visit}, timeout=0)
        visit.cancel()
        assert (await reader.read()).holder.name == "扎西顿珠"
    assert visit.cancelled()


async def test_ok__a_card_that_another_program_holds_is_read_when_it_lets_go(running_service: Pcscd) -> None:
    async with watching() as reader, laid_down(reader, virtual_card(running_service)):
        _, context = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        code, handle, _ = scard.SCardConnect(context, f"{READER} 00 00", scard.SCARD_SHARE_EXCLUSIVE, scard.SCARD_PROTOCOL_ANY)
        assert code == scard.SCARD_S_SUCCESS
        visit = asyncio.create_task(reader.read())
        done, _ = await asyncio.wait({visit}, timeout=0.3)
        assert not done
        scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)
        scard.SCardReleaseContext(context)
        assert (await visit).holder.name == "扎西顿珠"


async def test_fail__without_pcscd_the_reader_is_absent(running_service: Pcscd) -> None:
    running_service.stop()
    with capture_logs() as logs:
        async with watching() as reader:
            assert (reader.status.health.state, reader.status.health.code) == (PartState.ABSENT, "CARD-01")
            with pytest.raises(ReaderAbsent):
                await reader.read()
            running_service.start()
            await until(reader, is_well, within_s=3)
    assert "SCardEstablishContext" in next(line["cause"] for line in logs if line["event"] == "card.reader-absent")


async def test_fail__a_pcscd_without_the_reader_wanted(running_service: Pcscd) -> None:
    async with watching(name="No such reader") as reader:
        assert (reader.status.health.state, reader.status.health.code) == (PartState.ABSENT, "CARD-01")


async def test_ok__pcscd_is_killed_and_comes_back(running_service: Pcscd) -> None:
    card = virtual_card(running_service)
    async with watching() as reader:
        card.put_down()
        await card_down(reader)
        running_service.kill()
        status = await until(reader, lambda status: not is_well(status))
        assert status.health.code == "CARD-01" and not status.has_card
        with pytest.raises(ReaderAbsent):
            await reader.read()
        running_service.start()
        await until(reader, is_well, within_s=3)
        async with laid_down(reader, card):
            assert (await reader.read()).holder.name == "扎西顿珠"


async def test_fail__pcscd_is_killed_in_mid_read(running_service: Pcscd) -> None:
    async with watching() as reader:
        with virtual_card(running_service, "silent-at-page:1").down():
            await card_down(reader)
            visit = asyncio.create_task(reader.read())
            await asyncio.wait({visit}, timeout=0.1)
            running_service.kill()
            with pytest.raises(ReaderAbsent):
                await visit
        running_service.start()
        await until(reader, is_well, within_s=3)


async def test_several_listen_and_hear_the_same(running_service: Pcscd) -> None:
    async def hear(reader: CardReader) -> list[bool]:
        return [status.has_card async for status in reader.changes()]

    async with watching() as reader:
        listeners = [asyncio.create_task(hear(reader)) for _ in range(3)]
        async with laid_down(reader, virtual_card(running_service)):
            pass
    assert [await listener for listener in listeners] == [[False, True, False]] * 3


async def test_ok__a_card_lifted_before_the_reader_looked_does_not_spoil_the_next(running_service: Pcscd) -> None:
    card = virtual_card(running_service)
    async with watching() as reader:
        for _ in range(2):
            with card.down():
                pass
        async with laid_down(reader, card):
            assert (await reader.read()).holder.name == "扎西顿珠"


@pytest.mark.slow
async def test_cards_put_down_and_lifted_again_and_again_leave_nothing_behind(running_service: Pcscd) -> None:
    async def visits(reader: CardReader, card: VirtualCard, number: int) -> None:
        for _ in range(number):
            async with laid_down(reader, card):
                await reader.read()

    cards = [VirtualCard(ZHAXI, port=running_service.port + slot) for slot in (0, 1)]
    before = threads_and_handles()
    async with (
        watching(f"{READER} 00 00") as first,
        watching(f"{READER} 00 01") as second,
    ):  # two, as pcscd looks only every 400 ms
        await asyncio.gather(visits(first, cards[0], 2), visits(second, cards[1], 2))
        warm = threads_and_handles()
        await asyncio.gather(visits(first, cards[0], 10), visits(second, cards[1], 10))
        assert threads_and_handles() == warm
    assert threads_and_handles() == before


async def test_two_hundred_readings_leave_nothing_behind(running_service: Pcscd) -> None:
    async with watching() as reader, laid_down(reader, virtual_card(running_service)):
        await reader.read()
        warm = threads_and_handles()
        for _ in range(200):
            await reader.read()
        assert threads_and_handles() == warm


async def test_nothing_personal_is_in_the_log(running_service: Pcscd) -> None:
    person = PEOPLE["zhaxi"]
    with capture_logs() as logs:
        async with watching() as reader:
            for fault in ("", "truncated-page:1", "corrupted-page:1", "unknown-flag"):
                async with laid_down(reader, virtual_card(running_service, fault)):
                    with contextlib.suppress(CardFault):
                        assert person.number not in repr(await reader.read())
    written = repr(logs)
    assert "card.read" in written and "card.not-read" in written
    assert not [
        secret for secret in (person.name, person.number, person.birth, person.address, person.issuer) if secret in written
    ]

"""Kiosk and uplink on their Unix socket: told at once, told again after a restart, never confused by nonsense."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kiosk.clock import SystemClock
from kiosk.uplink.line import KioskEnd, Message, Parts, UplinkEnd, Written
from kiosk.uplink.link import LinkState, Trouble
from sync_agent.contract.kinds import PartHealth, PartState

UP = LinkState(True, Trouble.NONE)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "uplink.sock"


@asynccontextmanager
async def uplink(path: Path) -> AsyncIterator[tuple[UplinkEnd, asyncio.Queue[Message]]]:
    heard: asyncio.Queue[Message] = asyncio.Queue()
    end = UplinkEnd(path)
    await end.start(heard.put_nowait)
    try:
        yield end, heard
    finally:
        await end.stop()


@asynccontextmanager
async def kiosk(path: Path) -> AsyncIterator[KioskEnd]:
    end = KioskEnd(path, retry_s=0.01)
    task = asyncio.create_task(end.run())
    try:
        yield end
    finally:
        task.cancel()


async def until(end: KioskEnd, true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await end.news()


async def test_the_kiosk_is_told_how_the_link_is_as_soon_as_it_connects(path: Path) -> None:
    async with uplink(path) as (end, _), kiosk(path) as ours:
        assert ours.link.is_up is False
        end.link_changed(UP)
        await until(ours, lambda: ours.link == UP)


async def test_without_an_uplink_the_link_is_down_and_comes_back_with_it(path: Path) -> None:
    async with kiosk(path) as ours:
        async with uplink(path) as (end, _):
            end.link_changed(UP)
            await until(ours, lambda: ours.link == UP)
        await until(ours, lambda: ours.link.is_up is False)
        async with uplink(path) as (end, _):
            end.link_changed(UP)
            await until(ours, lambda: ours.link == UP)


async def test_the_uplink_hears_of_records_and_of_parts_also_after_its_restart(path: Path) -> None:
    parts = {"reader": PartHealth(state=PartState.WELL, since=SystemClock().now())}
    async with kiosk(path) as ours:
        async with uplink(path) as (end, heard), asyncio.timeout(5):
            end.link_changed(UP)
            await until(ours, lambda: ours.link == UP)
            ours.parts(parts)
            ours.written()
            assert [await heard.get(), await heard.get()] == [Parts(parts=parts), Written()]
        async with uplink(path) as (_, heard), asyncio.timeout(5):
            assert await heard.get() == Parts(parts=parts)


async def test_nonsense_on_the_socket_is_passed_over(path: Path) -> None:
    async with uplink(path) as (_, heard), asyncio.timeout(5):
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"say": "open the till"}\nnot json\n' + Written().model_dump_json().encode() + b"\n")
        assert await heard.get() == Written()
        writer.close()


async def test_only_its_owner_may_use_the_socket(path: Path) -> None:
    async with uplink(path):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600


async def test_a_line_far_too_long_is_passed_over_and_the_next_is_heard(path: Path) -> None:
    async with uplink(path) as (_, heard), asyncio.timeout(5):
        _, writer = await asyncio.open_unix_connection(path)
        writer.write(b'{"say": "' + b"x" * 300_000 + b'"}\n' + Written().model_dump_json().encode() + b"\n")
        assert await heard.get() == Written()
        writer.close()


async def test_the_largest_number_of_settled_records_makes_a_short_line(path: Path) -> None:
    async with uplink(path) as (end, _), kiosk(path) as ours:
        end.link_changed(UP)
        await until(ours, lambda: ours.link == UP)
        end.settled(10**9)
        await ours.news()
        assert ours.link == UP, "the line holds"

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing

from sqlalchemy.exc import OperationalError

from sync_agent.web.board import Board, Tally
from sync_agent.web.live import Live, Sight, running


def board(received: int) -> Board:
    return Board(Tally(received, 0, 0, None, 0), (), 0, ())


class Registry:
    """Counts how often it is looked at, and can be away."""

    def __init__(self) -> None:
        self.received = 0
        self.looks = 0
        self.is_away = False

    def look(self) -> Board:
        self.looks += 1
        if self.is_away:
            raise OperationalError("SELECT", None, Exception("away"))
        return board(self.received)


async def next_of(sights: AsyncGenerator[Sight]) -> Sight:
    return await asyncio.wait_for(anext(sights), 5)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0)


async def test_a_listener_hears_what_is_and_what_changes() -> None:
    registry = Registry()
    live = Live(registry.look, every_s=0)
    async with running(live), aclosing(live.listen()) as sights:
        assert await next_of(sights) == Sight(board(0))
        registry.received = 1
        assert await next_of(sights) == Sight(board(1))


async def test_a_listener_that_comes_late_hears_what_is() -> None:
    registry = Registry()
    live = Live(registry.look, every_s=0)
    async with running(live), aclosing(live.listen()) as early, aclosing(live.listen()) as late:
        await next_of(early)
        looks = registry.looks
        assert await next_of(late) == Sight(board(0))
        assert registry.looks >= looks


async def test_many_listeners_cost_one_look_each_time() -> None:
    registry = Registry()
    live = Live(registry.look, every_s=3600)
    listeners = [live.listen() for _ in range(20)]
    async with running(live):
        heard = await asyncio.gather(*(next_of(listener) for listener in listeners))
        for listener in listeners:
            await listener.aclose()
    assert (set(heard), registry.looks) == ({Sight(board(0))}, 1)


async def test_nobody_looks_while_nobody_listens() -> None:
    registry = Registry()
    live = Live(registry.look, every_s=0)
    async with running(live):
        for _ in range(50):
            await asyncio.sleep(0)
        assert registry.looks == 0
        async with aclosing(live.listen()) as sights:
            await next_of(sights)
        await until(lambda: registry.looks > 0)


async def test_what_was_read_last_stays_while_the_database_is_away() -> None:
    registry = Registry()
    registry.received = 7
    live = Live(registry.look, every_s=0)
    async with running(live), aclosing(live.listen()) as sights:
        assert await next_of(sights) == Sight(board(7))
        registry.is_away = True
        assert await next_of(sights) == Sight(board(7), is_stale=True)
        registry.is_away = False
        assert await next_of(sights) == Sight(board(7))

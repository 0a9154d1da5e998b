"""Telling a status to all who listen, and believing a card only when it lies still."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from kiosk.cards.absent import AbsentReader
from kiosk.cards.kinds import ReaderKind, open_reader
from kiosk.cards.pages import PageTable
from kiosk.cards.presence import Arrival, Presence, Settling
from kiosk.cards.reader import CardReader, ReaderAbsent, ReaderStatus
from kiosk.clock import SystemClock
from sync_agent.contract.kinds import PartState


class HandClock(SystemClock):
    """A clock set by hand."""

    def __init__(self) -> None:
        self.time = datetime(2026, 6, 1, 8, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time


async def heard(changes: AsyncIterator[ReaderStatus]) -> list[tuple[PartState, bool]]:
    return [(status.health.state, status.has_card) async for status in changes]


async def test_several_listeners_each_hear_every_change_and_the_end() -> None:
    presence = Presence(HandClock())
    quick = asyncio.create_task(heard(presence.changes()))
    slow = presence.changes()
    await anext(slow)
    for has_card in (False, True, False, True):
        presence.announce(PartState.WELL, "", has_card=has_card)
    late = asyncio.create_task(heard(presence.changes()))
    await asyncio.wait({late}, timeout=0)
    presence.close()
    well = [(PartState.WELL, has_card) for has_card in (False, True, False, True)]
    assert await quick == [(PartState.ABSENT, False), *well]
    assert await heard(slow) == well
    assert await late == well[-1:]


async def test_who_comes_after_the_end_hears_nothing() -> None:
    presence = Presence(HandClock())
    presence.close()
    assert await heard(presence.changes()) == []


async def test_a_listener_that_gives_up_takes_nothing_from_the_others() -> None:
    presence = Presence(HandClock())
    leaving, staying = (asyncio.create_task(heard(presence.changes())) for _ in range(2))
    await asyncio.wait({leaving, staying}, timeout=0)
    leaving.cancel()
    presence.announce(PartState.WELL, "", has_card=True)
    presence.close()
    assert await staying == [(PartState.ABSENT, False), (PartState.WELL, True)]


def test_time_counts_from_the_change_of_health_not_of_the_card() -> None:
    clock = HandClock()
    presence = Presence(clock)
    presence.announce(PartState.WELL, "", has_card=False)
    well_since = clock.time
    clock.time += timedelta(minutes=5)
    presence.announce(PartState.WELL, "", has_card=True)
    assert presence.status.has_card and presence.status.health.since == well_since
    presence.announce(PartState.FAILED, "CARD-05", has_card=True)
    assert presence.status.health.since == clock.time


def test_a_card_is_believed_when_it_has_lain_still() -> None:
    card, settling = Arrival("reader", 1), Settling(0.15)
    assert settling.see(card, at=10.0) is None
    assert settling.left_s(10.1) == pytest.approx(0.05)
    assert settling.see(card, at=10.1) is None
    assert settling.see(card, at=10.16) is card
    assert settling.left_s(10.16) is None


def test_a_card_that_leaves_is_gone_at_once() -> None:
    settling = Settling(0.15)
    settling.see(Arrival("reader", 1), at=10.0)
    assert settling.see(Arrival("reader", 1), at=11.0) is not None
    assert settling.see(None, at=11.0) is None
    assert settling.left_s(11.0) is None


def test_a_card_swapped_between_two_looks_is_another_one() -> None:
    settling = Settling(0.15)
    settling.see(Arrival("reader", 1), at=10.0)
    assert settling.see(Arrival("reader", 1), at=11.0) is not None
    assert settling.see(Arrival("reader", 3), at=11.0) is None
    assert settling.see(Arrival("reader", 3), at=11.2) is not None


def absent() -> CardReader:
    return open_reader(ReaderKind.ABSENT, clock=HandClock(), name="", read_deadline_s=1, pages=PageTable())


async def test_no_reader_says_so_and_refuses() -> None:
    reader = absent()
    assert isinstance(reader, AbsentReader)
    await reader.start()
    listening = asyncio.create_task(heard(reader.changes()))
    assert (reader.status.health.state, reader.status.health.code) == (PartState.ABSENT, "CARD-01")
    with pytest.raises(ReaderAbsent):
        await reader.read()
    await asyncio.wait({listening}, timeout=0)
    await reader.stop()
    assert await listening == [(PartState.ABSENT, False)]

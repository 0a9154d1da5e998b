"""Rows 13 and 15 of the failure matrix: receipts that are not for us, or are long past, and a broker that lets nothing pass.

A stranger's signature is in tests/system/test_chain.py, forged and replayed trust lists are in tests/system/test_trust.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from kiosk.uplink import identity
from kiosk.uplink.link import LinkState, Trouble
from kiosk.uplink.store import State
from sync_agent import service
from sync_agent.contract import receipts, topics
from sync_agent.contract.receipts import Receipt
from sync_agent.contract.topics import Down, Up
from system.services.broker import Mosquitto
from tests.mqtt import Speaker
from tests.system.centre import DEVICE, HASTY, Centre, Kiosk, kiosk, opened

pytestmark = [pytest.mark.broker, pytest.mark.slow]


async def told(ours: Kiosk, speaker: Speaker, who: identity.Identity, message: bytes) -> None:
    """Give the kiosk a message on its receipts' topic, and a moment for news of it."""
    await asyncio.to_thread(speaker.say, topics.down(who.tenant, who.device, Down.RECEIPT), message)
    with suppress(TimeoutError):
        await asyncio.wait_for(ours.line.news(), 1.0)


@pytest.mark.parametrize(
    ("change", "after"),
    [
        ({}, State.RECEIVED),  # the negative control: the agent's own word does settle it
        ({"device": "kiosk-99"}, State.WAITING),
        ({"epoch": "00000000000000ff"}, State.WAITING),
    ],
    ids=["ours", "another device's", "another epoch's"],
)
async def test_a_receipt_settles_only_what_it_is_for(
    centre: Centre, state_dir: Path, change: dict[str, str], after: State
) -> None:
    who = identity.load(centre.identity_dir)
    async with kiosk(state_dir, who) as ours:
        await ours.until(lambda: ours.line.link.is_up, "the link")
        seq = ours.write()
        receipt = Receipt(device=DEVICE, epoch=ours.outbox.epoch, upto=seq, at=service.now()).model_copy(update=change)
        with await asyncio.to_thread(centre.observer) as speaker:
            await told(ours, speaker, who, receipts.write(receipt, centre.office.authority.receipt_key))
        assert ours.outbox.progress(seq).state is after


async def test_an_old_receipt_said_again_takes_nothing_back(centre: Centre, state_dir: Path) -> None:
    """The answer to a birth of long ago names less than is held by now; its nonce is not the one that was asked."""
    who = identity.load(centre.identity_dir)
    async with kiosk(state_dir, who) as ours:
        with centre.agent():
            await ours.until_answered(ours.write())
            await ours.until_answered(ours.write())
        old = Receipt(device=DEVICE, epoch=ours.outbox.epoch, upto=0, gaps=((1, 2),), reconciles="long-ago", at=service.now())
        with await asyncio.to_thread(centre.observer) as speaker:
            await told(ours, speaker, who, receipts.write(old, centre.office.authority.receipt_key))
        assert [row[3].state for row in ours.outbox.listing()] == [State.ANSWERED, State.ANSWERED]


class Mute(Mosquitto):
    """A broker whose rules were written wrongly: devices may connect, hear and say how they are; their records go nowhere."""

    def files(self, sessions: Path) -> dict[str, str]:
        files = super().files(sessions)
        words = "\n".join(f"pattern write rz/1/+/up/+/%u/{what}" for what in Up if what is not Up.RECORD)
        rules = files["access.conf"].replace("pattern write rz/1/+/up/+/%u/#", words)
        assert rules != files["access.conf"]
        return files | {"access.conf": rules}


@pytest.fixture
def mute(state_dir: Path) -> Iterator[Centre]:
    """A centre that its devices cannot speak to."""
    with opened(state_dir, make_broker=Mute) as centre:
        yield centre


SOON = HASTY.model_copy(update={"unanswered_s": 1.0})


async def test_a_broker_that_denies_a_device_its_records_is_noticed(mute: Centre, state_dir: Path) -> None:
    """Mosquitto 2.0.11 cuts the line of who speaks where it may not; others acknowledge and throw away. Either is a trouble.

    The same with receipts that are denied, in silence, is in tests/kiosk/uplink/test_courier.py.
    """
    with mute.agent():
        async with kiosk(state_dir, identity.load(mute.identity_dir), SOON) as ours:
            await ours.until(lambda: ours.line.link == LinkState(True, Trouble.NONE), "the link")
            seq = ours.write()
            await ours.until(lambda: ours.line.link.trouble is Trouble.UNANSWERED, "the trouble")
            assert ours.outbox.progress(seq).state is State.WAITING
    assert mute.records() == []


async def test_with_receipts_there_is_no_such_trouble(centre: Centre, state_dir: Path) -> None:
    """The negative control."""
    with centre.agent():
        async with kiosk(state_dir, identity.load(centre.identity_dir), SOON) as ours:
            await ours.until_answered(ours.write())
            assert ours.line.link == LinkState(True, Trouble.NONE)

"""Rows 1, 5 and 6 of the failure matrix: the broker is killed with a backlog, drops what it cannot queue, loses all it had.

It acknowledges what it does not keep, on MQTT 3.1.1; each negative control shows that it really did lose something.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from kiosk.clock import SystemClock
from kiosk.uplink import identity
from kiosk.uplink.outbox import Outbox
from kiosk.uplink.pen import Pen
from kiosk.uplink.store import State
from sync_agent.contract import topics
from sync_agent.contract.topics import Tenant, Up
from system.services.broker import Mosquitto
from system.simulate.world import wait_until
from tests.certificates import Issued
from tests.mqtt import Speaker
from tests.system.centre import CASE, DEVICE, Centre, Kiosk, kiosk, opened

pytestmark = [pytest.mark.broker, pytest.mark.slow]


class Forgetful(Mosquitto):
    """A broker that keeps nothing on its disk, and in a queue no more than Mosquitto does by default."""

    def files(self, sessions: Path) -> dict[str, str]:
        files = super().files(sessions)
        text = files["mosquitto.conf"].replace("persistence true", "persistence false")
        text = text.replace("max_queued_messages 0", "max_queued_messages 1000")
        assert text.count("persistence false") == text.count("max_queued_messages 1000") == 1
        return files | {"mosquitto.conf": text}


@pytest.fixture
def forgetful(state_dir: Path) -> Iterator[Centre]:
    """A centre whose broker forgets."""
    with opened(state_dir, make_broker=Forgetful) as centre:
        yield centre


async def until_empty(ours: Kiosk, within_s: float = 30) -> None:
    await ours.until(lambda: all(row[3].state is State.ANSWERED for row in ours.outbox.listing()), "an empty outbox", within_s)


async def test_a_broker_killed_twice_with_a_backlog_and_nothing_on_its_disk_loses_no_record(
    forgetful: Centre, state_dir: Path
) -> None:
    async with kiosk(state_dir, identity.load(forgetful.identity_dir)) as ours:
        await ours.until(lambda: ours.line.link.is_up, "the link")
        for _ in range(2):
            for _ in range(30):
                ours.write()
            forgetful.broker.kill()
            forgetful.broker.start()
            await ours.until(lambda: ours.line.link.is_up, "the link")
        with forgetful.agent():
            await until_empty(ours)
    assert forgetful.records() == list(range(1, 61))
    assert forgetful.quarantined() == 0


async def test_without_the_outbox_a_broker_that_is_killed_does_lose_records(forgetful: Centre, state_dir: Path) -> None:
    """The negative control: who believes the broker's word has lost what it acknowledged."""
    who = identity.load(forgetful.identity_dir)
    with closing(Outbox(state_dir / "outbox.db")) as outbox:
        say_once(forgetful, who, sign(outbox, who, 3))
    forgetful.broker.kill()
    forgetful.broker.start()
    with forgetful.agent():
        async with kiosk(state_dir / "other", identity.load(forgetful.identity_dir)) as ours:
            await ours.until_answered(ours.write())
    assert forgetful.records() == [1], "of another epoch"


async def test_what_a_full_queue_dropped_is_sent_again(forgetful: Centre, state_dir: Path) -> None:
    """The agent is away for long, and the queue of its session at the broker is full."""
    with forgetful.agent():
        async with kiosk(state_dir, identity.load(forgetful.identity_dir)) as ours:
            await ours.until_answered(ours.write())  # the agent's session is there from now on
    who = identity.load(forgetful.identity_dir)
    with closing(Outbox(state_dir / "outbox.db")) as outbox:
        say_once(forgetful, who, [b"noise %d" % number for number in range(1001)] + sign(outbox, who, 30))
    with forgetful.agent():
        await asyncio.to_thread(wait_until, lambda: forgetful.quarantined() == 1000, "all that was queued")
        assert forgetful.records() == [1], "the records were acknowledged and dropped"
        async with kiosk(state_dir, identity.load(forgetful.identity_dir)) as ours:
            await until_empty(ours)
    assert forgetful.records() == list(range(1, 32))


@pytest.mark.parametrize(("noise", "held"), [(1001, [1]), (0, [1, 1, 2, 3])], ids=["full", "with-room"])
async def test_what_is_said_once_into_a_full_queue_is_lost(
    forgetful: Centre, state_dir: Path, noise: int, held: list[int]
) -> None:
    """The negative control: without an outbox that sends again the records are missing; the queue's limit is what took them."""
    who = identity.load(forgetful.identity_dir)
    await listening(forgetful, state_dir, who)
    with closing(Outbox(state_dir / "other.db")) as other:
        say_once(forgetful, who, [b"noise %d" % number for number in range(noise)] + sign(other, who, 3))
    with forgetful.agent():
        await asyncio.to_thread(wait_until, lambda: forgetful.quarantined() == min(noise, 1000), "all the noise")
        await asyncio.to_thread(wait_until, lambda: forgetful.records() == held, "what the queue had kept")


@pytest.mark.parametrize(("wiped", "held"), [(True, [1, 2]), (False, [1, 1, 2, 2, 3])], ids=["wiped", "kept"])
async def test_what_was_said_once_is_lost_with_the_broker_s_data(
    centre: Centre, state_dir: Path, wiped: bool, held: list[int]
) -> None:
    """The negative control: without an outbox that sends again nothing brings the records back."""
    who = identity.load(centre.identity_dir)
    await listening(centre, state_dir, who)
    with closing(Outbox(state_dir / "other.db")) as other:
        say_once(centre, who, sign(other, who, 3))
    centre.broker.stop()
    if wiped:
        wipe(state_dir)
    centre.broker.start()
    with centre.agent():
        async with kiosk(state_dir, who) as ours:
            await ours.until_answered(ours.write())
        await asyncio.to_thread(wait_until, lambda: centre.records() == held, "what the broker had kept")


async def listening(centre: Centre, state_dir: Path, who: identity.Identity) -> None:
    """Let an agent take one record and go, so that its session is at the broker."""
    with centre.agent():
        async with kiosk(state_dir, who) as ours:
            await ours.until_answered(ours.write())


async def test_a_broker_whose_data_are_wiped_is_filled_again(centre: Centre, state_dir: Path) -> None:
    """Sessions, subscriptions, queues and retained words are gone; nothing of it was needed."""
    who = identity.load(centre.identity_dir)
    with centre.agent():
        async with kiosk(state_dir, who) as ours:
            await ours.until_answered(ours.write())
    async with kiosk(state_dir, who) as ours:
        await ours.until(lambda: ours.line.link.is_up, "the link")
        for _ in range(5):
            ours.write()
        centre.broker.kill()
        wipe(state_dir)
        centre.broker.start()
        with centre.agent():
            await until_empty(ours)
            await ours.until(lambda: centre.link() == "online", "the page showing the device")
    assert centre.records() == [1, 2, 3, 4, 5, 6]


def wipe(state_dir: Path) -> None:
    shutil.rmtree(state_dir / "mosquitto" / "sessions")


def sign(outbox: Outbox, who: identity.Identity, many: int) -> list[bytes]:
    """Write records into an outbox and return their messages."""
    pen = Pen(outbox, who, SystemClock())
    for _ in range(many):
        pen.write(CASE, None)
    return list(outbox.messages())[-many:]


def say_once(centre: Centre, who: identity.Identity, messages: list[bytes]) -> None:
    """Have the broker acknowledge messages, each of them once."""
    own = Issued(who.certificate, who.tls_key)
    with Speaker(centre.broker, who.ca, own, client_id=DEVICE) as speaker:
        for message in messages[:-1]:
            speaker.send(topics.up(Tenant("xz"), DEVICE, Up.RECORD), message)
        speaker.say(topics.up(Tenant("xz"), DEVICE, Up.RECORD), messages[-1])

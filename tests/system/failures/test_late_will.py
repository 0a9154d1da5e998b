"""Row 20 of the failure matrix: the broker says a device's death late, when the device is long back. The page shows what is true.

Retained words that a wiped broker has lost are in test_broker_dies.py.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from kiosk.uplink import identity
from sync_agent.contract.status import Link, State
from sync_agent.contract.topics import Up
from sync_agent.registry.tables import DeviceStatus
from system.simulate.world import wait_until
from tests.system.centre import Centre
from tests.system.failures.hand import Hand

pytestmark = [pytest.mark.broker, pytest.mark.slow]


@pytest.fixture
def hand(centre: Centre) -> Iterator[Hand]:
    with centre.agent(), Hand(centre, identity.load(centre.identity_dir)) as hand:
        hand.knock()
        yield hand


def word(boot: int, link: Link) -> bytes:
    return State(boot=boot, link=link).model_dump_json().encode()


@pytest.mark.parametrize(("boot", "shown"), [(4, Link.ONLINE), (5, Link.OFFLINE)], ids=["of an earlier start", "of this start"])
def test_a_death_counts_only_for_the_start_it_was_said_in(centre: Centre, hand: Hand, boot: int, shown: Link) -> None:
    """The second is the negative control: a death of this start is shown."""
    hand.say(word(5, Link.ONLINE), what=Up.STATE)
    wait_until(lambda: centre.link() == "online", "the device shown as connected")
    hand.say(word(boot, Link.OFFLINE), what=Up.STATE)
    hand.say(hand.sign(1).message)
    hand.until_ruled(1)  # what was said before it has been taken in
    with centre.office.database.read() as session:
        assert session.scalar(select(DeviceStatus.link)) == shown


BOOTS = pytest.mark.parametrize(
    ("boot", "shown"), [(4, Link.ONLINE), (5, Link.OFFLINE)], ids=["of an earlier start", "of this start"]
)


@BOOTS
def test_a_will_that_the_broker_says_after_a_newer_start_counts_for_nothing(centre: Centre, boot: int, shown: Link) -> None:
    """The broker says it by itself when the line breaks. The second is the negative control."""
    who = identity.load(centre.identity_dir)
    with centre.agent():
        with Hand(centre, who, will=word(boot, Link.OFFLINE)) as first:
            first.knock()
            first.say(word(5, Link.ONLINE), what=Up.STATE)
            wait_until(lambda: centre.link() == "online", "the device shown as connected")
            first.break_off()
        with Hand(centre, who) as second:
            second.say(second.sign(1).message)
            second.until_ruled(1)  # the will was said before it
        assert centre.link() == shown


@BOOTS
def test_a_retained_word_of_long_ago_counts_for_nothing(centre: Centre, state_dir: Path, boot: int, shown: Link) -> None:
    """The broker's data are an old copy's: it gives every agent that starts a state of an earlier start."""
    with Hand(centre, identity.load(centre.identity_dir)) as hand:
        with centre.agent():
            hand.knock()
            hand.say(word(5, Link.ONLINE), what=Up.STATE)
            wait_until(lambda: centre.link() == "online", "the device shown as connected")
        centre.broker.stop()
        shutil.rmtree(state_dir / "mosquitto" / "sessions")
    centre.broker.start()
    with Hand(centre, identity.load(centre.identity_dir)) as again:
        again.say(word(boot, Link.OFFLINE), what=Up.STATE, is_retained=True)
        with centre.agent():
            again.knock()
            again.say(again.sign(1).message)
            again.until_ruled(1)
    assert centre.link() == shown

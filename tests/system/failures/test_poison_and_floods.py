"""Rows 9, 10 and 11 of the failure matrix: the same again and again, two truths under one number, and what is no record."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from signal import SIGCONT, SIGSTOP
from typing import Final

import pytest
from joserfc.jwk import OKPKey
from sqlalchemy import func, select

from kiosk.uplink import identity
from sync_agent import service
from sync_agent.contract import envelope
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import GENESIS
from sync_agent.contract.receipts import Receipt
from sync_agent.contract.suites import INTL_1
from sync_agent.contract.topics import DeviceId, shard
from sync_agent.fleet import enrolment
from sync_agent.registry.tables import AlarmKind, Quarantine, RecordRow
from system.simulate.world import wait_until
from tests.system.centre import DEVICE, SITE, Centre
from tests.system.failures.hand import EPOCH, Hand

pytestmark = [pytest.mark.broker, pytest.mark.slow]

APART: Final = DeviceId("kiosk-02")
BESIDE: Final = next(name for number in range(10_000) if shard(name := DeviceId(f"kiosk-x{number}")) == shard(DEVICE))
"""A device whose records come through another session than the flood, and one whose come through the same."""


@pytest.fixture
def who(centre: Centre) -> identity.Identity:
    return identity.load(centre.identity_dir)


@pytest.fixture
def hand(centre: Centre, who: identity.Identity) -> Iterator[Hand]:
    """A hand whose agent takes what it sends."""
    with centre.agent(), Hand(centre, who) as hand:
        hand.knock()
        yield hand


def quarantined(centre: Centre) -> dict[str, Fault]:
    """The fault of everything in quarantine, by digest."""
    with centre.office.database.read() as session:
        return {row.sha256: row.fault for row in session.scalars(select(Quarantine))}


@dataclass(frozen=True, slots=True)
class Lags:
    """From saying a record to hearing that it is held, seconds.

    Attributes:
        calm: of a live device's records, one after the other, before the flood.
        flooded: the same during the flood.
        behind: of what the flooding device says last, from the beginning of the flood.
    """

    calm: list[float]
    flooded: list[float]
    behind: float

    @property
    def is_bounded(self) -> bool:
        """Whether the live device waited for the part of the flood that is in hand, not for all of it: half is far from both."""
        return max(self.flooded) < max(self.calm) + self.behind / 2


class Live:
    """A device that says one record after the other, each when the one before is held."""

    def __init__(self, hand: Hand) -> None:
        self._hand = hand
        self._seq, self._prev = 0, GENESIS

    def lag_s(self) -> float:
        """Say the next record and return how long it took until the device knew it held, seconds."""
        self._seq += 1
        signed = self._hand.sign(self._seq, self._prev)
        self._prev = signed.digest
        begun = time.monotonic()
        self._hand.say(signed.message)
        self._hand.until(lambda receipt: receipt.upto >= self._seq, within_s=60)
        return time.monotonic() - begun


def another(centre: Centre, name: DeviceId) -> identity.Identity:
    """Enrol one more device."""
    folder, at = centre.identity_dir.parent / "other", centre.office
    asked = identity.begin(folder, name, SITE, "")
    identity.finish(folder, enrolment.approve(at.database, at.authority, asked, at.settings, service.now()))
    return identity.load(folder)


def flood(centre: Centre, many: int, times: int, per_message: int, live_name: DeviceId) -> Lags:
    """Send the same records over and over, and behind them a new one; each is held once. Another device lives on meanwhile."""
    who, other = identity.load(centre.identity_dir), another(centre, live_name)
    agent = centre.agent_process()
    agent.start(lambda: True)
    with ExitStack() as stack:
        stack.callback(agent.stop)
        hand, hers = stack.enter_context(Hand(centre, who)), stack.enter_context(Hand(centre, other))
        hand.knock()
        hers.knock()
        chain = hand.chain(many + 1)
        payloads = [envelope.payload_of(one.message) for one in chain]
        cuts = [slice(at, min(at + per_message, many)) for at in range(0, many, per_message)]
        same = [envelope.batch(payloads[cut], who.signing_key) for cut in cuts]

        def is_all(receipt: Receipt) -> bool:
            return receipt.upto == many + 1 and not receipt.gaps

        live = Live(hers)
        calm = [live.lag_s() for _ in range(10)]
        flooded = list[float]()
        agent.signal(SIGSTOP)  # so that all of the flood is there at once, however slowly it can be said here
        hand.say(*same * times, chain[-1].message, within_s=60)
        agent.signal(SIGCONT)
        with ThreadPoolExecutor(1) as pool:
            begun = time.monotonic()
            heard = pool.submit(hand.until, is_all, 60 + times * many / 500)
            while not heard.done():
                flooded.append(live.lag_s())
            behind = time.monotonic() - begun
            heard.result()
        wait_until(lambda: centre.unjudged() == 0, "judging all", 60)
    with centre.office.database.read() as session:
        held = session.execute(select(RecordRow.device_id, func.max(RecordRow.seq), func.count()).group_by(RecordRow.device_id))
        last = len(calm) + len(flooded)
        assert {tuple(row) for row in held} == {(who.device, many + 1, many + 1), (other.device, last, last)}
    assert (centre.quarantined(), centre.alarms()) == (0, set())
    return Lags(calm, flooded, behind)


def test_the_same_records_again_and_again_are_one_row_each_and_another_device_is_answered_meanwhile(centre: Centre) -> None:
    assert flood(centre, 200, 50, 1, APART).is_bounded


def test_who_shares_a_session_with_a_flood_waits_for_it(centre: Centre) -> None:
    """The negative control: the lag that is bounded above can be seen; one device in 64 has it."""
    assert not flood(centre, 200, 50, 1, BESIDE).is_bounded


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ten_thousand_records_sent_ten_times_are_one_row_each(centre: Centre) -> None:
    assert flood(centre, 10_000, 10, 5, APART).is_bounded


def test_the_same_sequences_in_other_epochs_are_rows_of_their_own(centre: Centre, hand: Hand) -> None:
    """The negative control: it is the place in the chain that makes a record the same, not that it looks alike."""
    epochs = [f"{number:016x}" for number in range(1, 4)]
    for epoch in epochs:
        hand.say(*(one.message for one in hand.chain(3, epoch=epoch)))
        hand.until_ruled(1, 2, 3, epoch=epoch)
    assert centre.records() == [1, 1, 1, 2, 2, 2, 3, 3, 3]


def test_two_records_under_one_sequence_are_an_alarm_and_the_first_stays(centre: Centre, hand: Hand) -> None:
    first, second = hand.sign(1), hand.sign(1)
    hand.say(first.message)
    hand.until_ruled(1)
    hand.say(second.message)
    hand.until(lambda receipt: [one.fault for one in receipt.rejections] == [Fault.EQUIVOCATION])
    with centre.office.database.read() as session:
        assert session.scalars(select(RecordRow.digest)).all() == [first.digest]
    assert quarantined(centre) == {second.digest: Fault.EQUIVOCATION}
    assert centre.alarms() == {AlarmKind.EQUIVOCATION}


def test_one_record_under_its_sequence_twice_is_no_alarm(centre: Centre, hand: Hand) -> None:
    """The negative control: the same bytes are a harmless repeat."""
    first = hand.sign(1)
    hand.say(first.message)
    hand.until_ruled(1)
    hand.say(first.message)
    hand.until_ruled(1)
    assert (centre.records(), centre.quarantined(), centre.alarms()) == ([1], 0, set())


def test_a_record_that_does_not_name_the_one_before_it_is_kept_and_an_alarm(centre: Centre, hand: Hand) -> None:
    hand.say(hand.sign(1).message, hand.sign(2, prev="ab" * 32).message)
    hand.until_ruled(1, 2)
    assert (centre.records(), centre.quarantined(), centre.alarms()) == ([1, 2], 0, {AlarmKind.BROKEN_CHAIN})


def signed(content: bytes, who: identity.Identity) -> bytes:
    return INTL_1.sign(content, who.signing_key, envelope.MEDIA_TYPE)


def changed(old: bytes, new: bytes) -> Callable[[Hand, identity.Identity], bytes]:
    """Return what makes a record that is signed well but says something else."""

    def poison(hand: Hand, who: identity.Identity) -> bytes:
        payload = envelope.payload_of(hand.sign(1).message)
        assert payload.count(old) == 1
        return signed(payload.replace(old, new), who)

    return poison


def bad_signature(hand: Hand, _who: identity.Identity) -> bytes:
    head, body, signature = hand.sign(1).message.split(b".")
    return b".".join([head, body, (b"B" if signature[:1] == b"A" else b"A") + signature[1:]])


def cut_open(hand: Hand, who: identity.Identity) -> bytes:
    """A batch one of whose lines was exchanged on the way."""
    one, two, other = (envelope.payload_of(hand.sign(seq).message) for seq in (1, 2, 2))
    return envelope.batch([one, two], who.signing_key).replace(two, other)


POISONS: Final[dict[str, tuple[Fault, Callable[[Hand, identity.Identity], bytes]]]] = {
    "noise": (Fault.NOT_A_RECORD, lambda _hand, _who: random.Random(1).randbytes(3000)),
    "nothing": (Fault.NOT_A_RECORD, lambda _hand, _who: b"\n"),
    "too much": (Fault.TOO_LARGE, lambda _hand, _who: bytes(200_000)),
    "a bad signature": (Fault.BAD_SIGNATURE, bad_signature),
    "a stranger's key": (Fault.UNKNOWN_KEY, lambda hand, _who: hand.sign(1, key=OKPKey.generate_key("Ed25519")).message),
    "bad JSON": (Fault.BAD_CONTENT, lambda _hand, who: signed(b'{"specversion": ', who)),
    "deep JSON": (Fault.BAD_CONTENT, lambda _hand, who: signed(b"[" * 20_000, who)),
    "a version to come": (Fault.UNKNOWN_VERSION, changed(b"cn.renzheng.case.v1", b"cn.renzheng.case.v9")),
    "a suite to come": (Fault.UNKNOWN_SUITE, changed(b'"intl-1"', b'"intl-9"')),
    "another device": (Fault.WRONG_DEVICE, changed(b"/rz/xz/kiosk-01", b"/rz/xz/kiosk-99")),
    "facts of no kind": (Fault.BAD_CONTENT, changed(b'"step":"face"', b'"step":7')),
    "a batch cut open": (Fault.BAD_SIGNATURE, cut_open),
}


@pytest.mark.parametrize("poison", POISONS)
def test_poison_is_kept_with_its_reason_and_answered_and_the_next_record_is_taken(
    centre: Centre, hand: Hand, who: identity.Identity, poison: str
) -> None:
    fault, make = POISONS[poison]
    message, good = make(hand, who), hand.sign(1)
    hand.say(message, good.message)
    whole = sha256(message).hexdigest()
    hand.until(lambda receipt: any((one.message_sha256, one.fault) == (whole, fault) for one in receipt.rejections))
    hand.say(good.message)  # a repeat, for the answer: the one to the first may have come before
    hand.until_ruled(1)
    assert list(quarantined(centre).values()) == [fault]
    assert centre.records() == [1]


def test_one_bad_record_within_a_batch_is_bad_alone(centre: Centre, hand: Hand, who: identity.Identity) -> None:
    one, two, three = (envelope.payload_of(signed.message) for signed in hand.chain(3))
    bad = two.replace(b'"step":"face"', b'"step":7')
    hand.say(envelope.batch([one, bad, three], who.signing_key))
    receipt = hand.until(lambda receipt: bool(receipt.rejections))
    assert [(one.digest, one.fault) for one in receipt.rejections] == [(sha256(bad).hexdigest(), Fault.BAD_CONTENT)]
    assert (receipt.epoch, receipt.upto) == (EPOCH, 3)
    assert receipt.gaps == ((2, 2),)
    assert centre.records() == [1, 3]


def test_without_poison_nothing_is_set_aside(centre: Centre, hand: Hand, who: identity.Identity) -> None:
    """The negative control."""
    chain = [envelope.payload_of(signed.message) for signed in hand.chain(3)]
    hand.say(envelope.batch(chain, who.signing_key))
    hand.until_ruled(1, 2, 3)
    assert (centre.records(), centre.quarantined(), centre.alarms()) == ([1, 2, 3], 0, set())

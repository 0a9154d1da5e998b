"""Rows 9, 10 and 11 of the failure matrix: the same again and again, two truths under one number, and what is no record."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Final

import pytest
from joserfc.jwk import OKPKey
from sqlalchemy import select

from kiosk.uplink import identity
from sync_agent.contract import envelope
from sync_agent.contract.codes import Fault
from sync_agent.contract.suites import INTL_1
from sync_agent.registry.tables import AlarmKind, Quarantine, RecordRow
from tests.system.centre import Centre
from tests.system.failures.hand import EPOCH, Hand

pytestmark = [pytest.mark.broker, pytest.mark.slow]


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


def flood(centre: Centre, hand: Hand, many: int, times: int) -> None:
    """Send the same records over and over in batches, and in the middle of it a new one; each is held once."""
    who = identity.load(centre.identity_dir)
    chain = hand.chain(many + 1)
    payloads = [envelope.payload_of(one.message) for one in chain]
    same = [envelope.batch(payloads[at : min(at + 20, many)], who.signing_key) for at in range(0, many, 20)]
    hand.say(*same * times, chain[-1].message)
    hand.until_ruled(many + 1, within_s=20 + times * many / 500)
    assert centre.records() == list(range(1, many + 2))
    assert (centre.quarantined(), centre.alarms()) == (0, set())


def test_the_same_records_sent_ten_times_are_one_row_each_and_a_new_one_comes_through(centre: Centre, hand: Hand) -> None:
    flood(centre, hand, 400, 10)


@pytest.mark.long
@pytest.mark.timeout(600)
def test_ten_thousand_records_sent_ten_times_are_one_row_each(centre: Centre, hand: Hand) -> None:
    flood(centre, hand, 10_000, 10)


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

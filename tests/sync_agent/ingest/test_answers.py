"""A receipt never outgrows a message, and what it leaves out it does not say to be held."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from joserfc.jwk import OKPKey

from sync_agent.contract import envelope, receipts
from sync_agent.contract.codes import Code, Fault
from sync_agent.contract.receipts import Receipt, Rejection, Ruling, Standing
from sync_agent.contract.topics import DeviceId, Tenant
from sync_agent.ingest import answers
from sync_agent.ingest.answers import Answers, Office, Post
from sync_agent.ingest.seen import Gap, Seen

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
KEY = OKPKey.generate_key("Ed25519")
OFFICE = Office(Tenant("xz"), lambda: KEY, lambda: NOW)
FAR = 2_000_000_000


def every_second_missing(gaps: int, upto: int) -> Seen:
    return Seen(upto, tuple(Gap(seq, seq, NOW) for seq in range(FAR + 2, FAR + 2 + 2 * gaps, 2)))


def post(held: Seen, last: int = 0) -> Post:
    gathered = Answers()
    gathered.about("kiosk-1", "aa").reconciles = ("nonce", last)
    [made] = gathered.posts({("kiosk-1", "aa"): held}, OFFICE)
    return made


def test_a_receipt_about_a_hundred_thousand_gaps_fits_into_a_packet_and_ends_before_the_first_it_leaves_out() -> None:
    held = every_second_missing(100_000, FAR + 200_001)
    made = post(held)
    left_out = held.gaps[answers.GAPS]
    [payload] = made.payloads
    assert len(payload) < envelope.MAX_BYTES
    assert made.receipt.upto == left_out.first - 1
    assert made.receipt.gaps == tuple((gap.first, gap.last) for gap in held.gaps[: answers.GAPS])


def test_a_receipt_with_as_many_gaps_as_fit_says_all_that_is_held() -> None:
    held = every_second_missing(answers.GAPS, FAR + 5000)
    assert (post(held).receipt.upto, len(post(held).receipt.gaps)) == (FAR + 5000, answers.GAPS)


def test_what_a_device_says_it_signed_beyond_what_fits_is_not_said_to_be_held() -> None:
    held = every_second_missing(answers.GAPS, FAR + 5000)
    receipt = post(held, FAR + 6000).receipt
    assert (receipt.upto, len(receipt.gaps)) == (FAR + 5000, answers.GAPS)


LONGEST = DeviceId("k" * 63)
FARTHEST = envelope.LAST_SEQ
RULINGS = [
    Ruling(
        seq=FARTHEST - number,
        digest="f" * 64,
        standing=max(Standing, key=len),
        code=max(Code, key=len),
        effective_from=NOW.replace(microsecond=999_999),
        case="C" * 16,
    )
    for number in range(500)
]
REJECTIONS = [Rejection(message_sha256=f"{number:064x}", digest="f" * 64, fault=max(Fault, key=len)) for number in range(500)]


@pytest.mark.parametrize("gaps", [0, answers.GAPS, 100_000])
@pytest.mark.parametrize("rulings", [0, 1, 500])
@pytest.mark.parametrize("rejections", [0, 1, 500])
def test_no_receipt_is_longer_than_a_message_and_together_they_say_it_all(gaps: int, rulings: int, rejections: int) -> None:
    gathered, first = Answers(), FARTHEST - 2 * gaps - 1
    held = Seen(FARTHEST, tuple(Gap(seq, seq, NOW) for seq in range(first, first + 2 * gaps, 2)))
    answer = gathered.about(LONGEST, "f" * 16)
    answer.reconciles = ("\x01" * 64, FARTHEST)
    answer.rulings |= {ruling.seq: ruling for ruling in RULINGS[:rulings]}
    answer.rejections += REJECTIONS[:rejections]
    [made] = gathered.posts({(LONGEST, "f" * 16): held}, OFFICE)
    payloads = made.payloads
    assert max(map(len, payloads)) < envelope.MAX_BYTES
    told: list[Receipt] = [receipts.read(payload, KEY, LONGEST) for payload in payloads]
    assert [ruling for receipt in told for ruling in receipt.rulings] == RULINGS[:rulings]
    assert [rejection for receipt in told for rejection in receipt.rejections] == REJECTIONS[:rejections]
    assert {(receipt.upto, receipt.gaps) for receipt in told} == {(made.receipt.upto, made.receipt.gaps)}
    assert [bool(receipt.reconciles) for receipt in told] == [True] + [False] * (len(told) - 1), "a birth is answered once"


def test_what_fits_into_one_message_is_one() -> None:
    gathered = Answers()
    gathered.about("kiosk-1", "aa").rejections += REJECTIONS[:150]
    [made] = gathered.posts({}, OFFICE)
    assert len(made.payloads) == 1
    assert [rejection.fault for rejection in receipts.read(made.payloads[0], KEY, DeviceId("kiosk-1")).rejections]


def test_a_refusal_met_ten_times_is_told_once() -> None:
    gathered = Answers()
    gathered.about("kiosk-1", "aa").rejections += REJECTIONS[:1] * 10
    [made] = gathered.posts({}, OFFICE)
    assert made.receipt.rejections == (REJECTIONS[0],)

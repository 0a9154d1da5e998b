"""A receipt never outgrows a message, and what it leaves out it does not say to be held."""

from __future__ import annotations

from datetime import UTC, datetime

from joserfc.jwk import OKPKey

from sync_agent.contract.topics import Tenant
from sync_agent.ingest import answers
from sync_agent.ingest.answers import Answers, Office, Post
from sync_agent.ingest.seen import Gap, Seen
from system.mosquitto import MAX_PACKET_BYTES

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
    assert len(made.payload) < MAX_PACKET_BYTES / 2
    assert made.receipt.upto == left_out.first - 1
    assert made.receipt.gaps == tuple((gap.first, gap.last) for gap in held.gaps[: answers.GAPS])


def test_a_receipt_with_as_many_gaps_as_fit_says_all_that_is_held() -> None:
    held = every_second_missing(answers.GAPS, FAR + 5000)
    assert (post(held).receipt.upto, len(post(held).receipt.gaps)) == (FAR + 5000, answers.GAPS)


def test_what_a_device_says_it_signed_beyond_what_fits_is_not_said_to_be_held() -> None:
    held = every_second_missing(answers.GAPS, FAR + 5000)
    receipt = post(held, FAR + 6000).receipt
    assert (receipt.upto, len(receipt.gaps)) == (FAR + 5000, answers.GAPS)

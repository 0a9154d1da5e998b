"""Receipts and the outbox: late, repeated, of another epoch, after the centre or the kiosk went back to an older state."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest

from kiosk.uplink.outbox import Outbox
from kiosk.uplink.settling import Asked, Spot
from kiosk.uplink.store import State
from sync_agent.contract.codes import Fault
from sync_agent.contract.receipts import Receipt, Rejection, Standing
from tests.kiosk.uplink.filled import NOW, add, digest, receipt, ruling

LATER = NOW + timedelta(minutes=1)
ASKED = Asked("nonce-1", last_seq=6, at=LATER)


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    with closing(Outbox(tmp_path / "outbox.db")) as box:
        yield box


def states(box: Outbox) -> str:
    """First letters of every record's state, former epochs first."""
    return "".join(row.progress.state[0] for row in box.listing())


@pytest.fixture
def held(outbox: Outbox) -> Outbox:
    """Six records that the centre holds, the second and the third ruled on."""
    for _ in range(6):
        add(outbox)
    outbox.settle(receipt(outbox, 6, rulings=[ruling(outbox, 2), ruling(outbox, 3)]), NOW)
    assert states(outbox) == "raarrr"
    return outbox


# --- reconciliation ---------------------------------------------------------------------------------------------------


def test_what_the_centre_lost_waits_again(held: Outbox) -> None:
    changed = held.settle(receipt(held, 4, gaps=[[2, 2]], reconciles="nonce-1", at=LATER), LATER, ASKED)
    assert [spot.seq for spot in changed] == [2, 5, 6]
    assert states(held) == "rwarww"
    assert held.progress(2).standing is None
    held.settle(receipt(held, 6, rulings=[ruling(held, 2)], at=LATER), LATER)
    assert states(held) == "raarrr"


@pytest.mark.parametrize("reconciles", ["", "nonce-0"])
def test_a_receipt_that_was_not_asked_for_takes_nothing_back(held: Outbox, reconciles: str) -> None:
    assert held.settle(receipt(held, 4, gaps=[[2, 2]], reconciles=reconciles), LATER, ASKED) == []
    assert held.settle(receipt(held, 4, gaps=[[2, 2]], reconciles=reconciles), LATER) == []
    assert states(held) == "raarrr"


def test_a_reconciliation_takes_nothing_back_that_went_out_after_the_question(held: Outbox) -> None:
    add(held), add(held)
    held.settle(receipt(held, 7), LATER + timedelta(seconds=1))
    held.settle(receipt(held, 8), LATER)
    then = LATER + timedelta(seconds=2)
    held.settle(receipt(held, 6, reconciles="nonce-1"), then, ASKED)
    assert states(held) == "raarrrrr"
    held.settle(receipt(held, 6, reconciles="nonce-2"), then, Asked("nonce-2", last_seq=8, at=LATER))
    assert states(held) == "raarrrrw", "the seventh was received after the question"


def test_what_was_received_while_the_clock_was_ahead_is_taken_back_all_the_same(outbox: Outbox) -> None:
    add(outbox)
    outbox.settle(receipt(outbox, 1, rulings=[ruling(outbox, 1)]), NOW + timedelta(days=3650))
    outbox.settle(receipt(outbox, 0, reconciles="nonce-1", at=LATER), LATER, ASKED)
    assert states(outbox) == "w"


def test_a_centre_that_lost_everything_gets_everything_again(held: Outbox) -> None:
    held.settle(receipt(held, 0, gaps=[[1, 6]], reconciles="nonce-1"), LATER, ASKED)
    assert states(held) == "w" * 6


def test_a_rejected_record_does_not_wait_again(outbox: Outbox) -> None:
    add(outbox)
    outbox.settle(receipt(outbox, 0, rejections=[rejection(outbox, 1)]), NOW)
    outbox.settle(receipt(outbox, 0, gaps=[[1, 1]], reconciles="nonce-1"), LATER, ASKED)
    assert states(outbox) == "r"
    assert outbox.progress(1).state is State.REJECTED


# --- receipts that come late, or again ----------------------------------------------------------------------------------


def test_an_older_ruling_played_again_changes_nothing(outbox: Outbox) -> None:
    add(outbox)
    first = receipt(outbox, 1, rulings=[ruling(outbox, 1, Standing.IN_REVIEW)])
    second = receipt(outbox, 1, rulings=[ruling(outbox, 1, Standing.REFUSED)], at=LATER)
    assert outbox.settle(first, NOW) == outbox.settle(second, LATER) == [Spot(outbox.epoch, 1)]
    assert outbox.settle(first, LATER) == outbox.settle(second, LATER) == []
    assert outbox.progress(1).standing is Standing.REFUSED


def test_the_same_rulings_in_their_order_leave_the_last(outbox: Outbox) -> None:
    add(outbox)
    for standing, at in ((Standing.REFUSED, NOW), (Standing.IN_REVIEW, LATER)):
        outbox.settle(receipt(outbox, 1, rulings=[ruling(outbox, 1, standing)], at=at), at)
    assert outbox.progress(1).standing is Standing.IN_REVIEW


def test_gaps_in_any_form_mark_exactly_what_is_held(outbox: Outbox) -> None:
    for _ in range(8):
        add(outbox)
    outbox.settle(receipt(outbox, 7, gaps=[[5, 5], [2, 3], [3, 4], [8, 12]]), NOW)
    assert states(outbox) == "rwwwwrrw"


# --- an outbox that went back to an older state ---------------------------------------------------------------------------


@pytest.fixture
def restored(tmp_path: Path) -> Iterator[tuple[Outbox, Outbox]]:
    """A copy of the outbox after the third record, and what the original went on to write: four and five."""
    with closing(Outbox(tmp_path / "outbox.db")) as original:
        for _ in range(3):
            add(original)
        original.settle(receipt(original, 1), NOW)
    shutil.copy(tmp_path / "outbox.db", tmp_path / "restored.db")
    with closing(Outbox(tmp_path / "outbox.db")) as original, closing(Outbox(tmp_path / "restored.db")) as copy:
        add(original), add(original)
        assert copy.epoch == original.epoch
        yield copy, original


def test_a_card_restored_from_a_copy_begins_a_new_epoch_and_uses_no_number_twice(restored: tuple[Outbox, Outbox]) -> None:
    copy, original = restored
    used = original.epoch
    copy.settle(receipt(original, 5, reconciles="nonce-1"), LATER, Asked("nonce-1", last_seq=3, at=LATER))
    assert copy.epoch != used
    assert copy.tail().last_seq == 0
    assert add(copy) == 1
    assert copy.waiting(10) == [Spot(used, 1), Spot(used, 2), Spot(used, 3), Spot(copy.epoch, 1)]
    assert [row.epoch == copy.epoch for row in copy.listing()] == [False, False, False, True]


def test_an_outbox_that_is_only_behind_with_its_receipts_keeps_its_epoch(restored: tuple[Outbox, Outbox]) -> None:
    copy, original = restored
    used = original.epoch
    original.settle(receipt(original, 5, reconciles="nonce-1"), LATER, Asked("nonce-1", last_seq=5, at=LATER))
    assert original.epoch == used
    copy.settle(receipt(copy, 3), LATER)
    assert copy.epoch == used


def test_a_number_used_twice_hides_no_record(restored: tuple[Outbox, Outbox]) -> None:
    """The fourth record of the copy has the number of another: that the centre holds a fourth proves nothing about it."""
    copy, original = restored
    used = copy.epoch
    assert add(copy) == 4
    copy.settle(receipt(original, 5), LATER)
    assert copy.progress(4, used).state is State.WAITING
    copy.settle(Receipt(device="kiosk-01", epoch=used, upto=5, at=LATER), LATER)
    assert copy.progress(4, used).state is State.WAITING


def test_records_of_a_former_epoch_are_settled_by_what_is_said_of_their_bytes(restored: tuple[Outbox, Outbox]) -> None:
    copy, original = restored
    used, ruled = copy.epoch, ruling(original, 2)
    add(copy)
    poison = rejection(copy, 4, Fault.EQUIVOCATION)
    copy.settle(receipt(original, 5), LATER)
    changed = copy.settle(Receipt(device="kiosk-01", epoch=used, upto=5, rulings=(ruled,), rejections=(poison,), at=LATER), LATER)
    assert changed == [Spot(used, 2), Spot(used, 4)]
    assert copy.progress(2, used).standing is Standing.ACCEPTED
    assert copy.progress(4, used).fault is Fault.EQUIVOCATION
    assert copy.waiting(10) == [Spot(used, 1), Spot(used, 3)]


def test_a_record_received_by_its_number_can_still_be_rejected_by_its_bytes(outbox: Outbox) -> None:
    add(outbox)
    outbox.settle(receipt(outbox, 1), NOW)
    outbox.settle(receipt(outbox, 1, rejections=[rejection(outbox, 1, Fault.EQUIVOCATION)]), NOW)
    assert outbox.progress(1).state is State.REJECTED


def test_a_rejection_with_a_digest_marks_that_record_alone(outbox: Outbox) -> None:
    add(outbox), add(outbox)
    one = Rejection(message_sha256="0" * 64, digest=digest(outbox, 2), fault=Fault.BAD_CONTENT)
    assert outbox.settle(receipt(outbox, 0, rejections=[one]), NOW) == [Spot(outbox.epoch, 2)]
    assert outbox.waiting(10) == [Spot(outbox.epoch, 1)]


def rejection(box: Outbox, seq: int, fault: Fault = Fault.BAD_SIGNATURE) -> Rejection:
    (message,) = [one for one in box.messages() if one.startswith(f"{box.epoch}/{seq}/".encode())]
    return Rejection(message_sha256=sha256(message).hexdigest(), fault=fault)

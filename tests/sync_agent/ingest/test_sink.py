"""Records above all that is held go straight into the ledger; whatever is known of the others is known all the same."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import GENESIS
from sync_agent.contract.receipts import Receipt
from sync_agent.ingest import sink
from sync_agent.ingest.seen import Chain, Seen
from sync_agent.registry.tables import AlarmKind, ClockDoubt, DeviceSeen, RecordRow
from tests.sync_agent.ingest.centre import EPOCH, HOLDER, MATCH, NOW, Centre

TWIN = "0190a0a0-0000-7000-8000-000000000001"


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The sequences of which the ledger was asked what it knows."""
    seqs: list[int] = []
    stage = sink.stage

    def listens(session: Session, batch: Iterable[sink.Staged]) -> None:
        batch = list(batch)
        seqs.extend(staged.entry.seq for staged in batch)
        stage(session, batch)

    monkeypatch.setattr(sink, "stage", listens)
    return seqs


def tip(centre: Centre) -> tuple[str, int, datetime | None]:
    with centre.database.read() as session:
        held = session.scalars(select(DeviceSeen)).one()
        return held.last_digest, held.last_boot, held.last_time


def test_of_new_records_nothing_is_asked_and_of_all_others_everything(centre: Centre, asked: list[int]) -> None:
    signed = [one.message for one in centre.chain(7)]
    centre.take(signed[0], signed[1], signed[3])
    assert asked == []
    (receipt,) = centre.take(signed[6], signed[2], signed[1], signed[4], signed[5])
    assert sorted(asked) == [2, 3]
    assert (receipt.upto, receipt.gaps, receipt.rejections, centre.held()) == (7, (), (), [1, 2, 3, 4, 5, 6, 7])
    assert centre.alarms() == {}


def test_behind_a_hole_nothing_is_compared_and_when_it_closes_both_sides_are(centre: Centre) -> None:
    one, two, _ = centre.chain(3)
    stray = centre.record(3, prev="f" * 64)
    centre.take(one.message)
    (receipt,) = centre.take(stray.message)
    assert (receipt.upto, receipt.gaps, centre.alarms()) == (3, ((2, 2),), {})
    (receipt,) = centre.take(two.message)
    assert (receipt.upto, receipt.gaps, centre.alarms()) == (3, (), {AlarmKind.BROKEN_CHAIN: 1})


def test_each_epoch_begins_anew(centre: Centre, asked: list[int]) -> None:
    centre.take(centre.record(1).message, centre.record(1, epoch="f" * 16, boot=2, time=NOW - timedelta(minutes=4)).message)
    assert (centre.held(), asked, centre.alarms()) == ([1, 1], [], {})


@pytest.mark.parametrize("is_own", [True, False])
def test_the_first_record_of_the_next_batch_must_name_the_last_of_this(centre: Centre, is_own: bool) -> None:
    one, two = centre.chain(2)
    centre.take(one.message, two.message)
    centre.take(centre.record(3, prev=two.digest if is_own else "f" * 64).message)
    assert centre.held() == [1, 2, 3]
    assert centre.alarms() == ({} if is_own else {AlarmKind.BROKEN_CHAIN: 1})


@pytest.mark.parametrize(
    ("boot", "back", "doubt"),
    [
        (1, timedelta(minutes=30), ClockDoubt.BACKWARDS),
        (1, timedelta(seconds=30), None),
        (2, timedelta(minutes=30), None),
    ],
    ids=["same start", "as a network sets it", "next start"],
)
def test_a_clock_that_goes_back_between_two_batches_is_noted(
    centre: Centre, boot: int, back: timedelta, doubt: ClockDoubt | None
) -> None:
    centre.clock.passes(hours=1)
    one = centre.record(1)
    centre.take(one.message)
    centre.take(centre.record(2, prev=one.digest, time=centre.clock() - back, boot=boot).message)
    with centre.database.read() as session:
        assert session.scalars(select(RecordRow.clock).order_by(RecordRow.seq)).all() == [None, doubt]
    assert centre.alarms() == ({AlarmKind.CLOCK: 1} if doubt else {})


def test_the_highest_record_is_kept_in_mind_whatever_order_they_come_in(centre: Centre) -> None:
    one, two, three = centre.chain(3)
    centre.take(three.message, one.message)
    assert tip(centre) == (three.digest, 1, NOW)
    centre.take(two.message)
    assert tip(centre) == (three.digest, 1, NOW)


@pytest.mark.parametrize("fails", [True, False])
def test_a_batch_that_is_undone_leaves_nothing_to_go_on_from(
    centre: Centre, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Negative control: the same batch, not undone, is what the other copy is measured by."""
    one, two = centre.chain(2)
    write_seen = sink.write_seen

    def away(session: Session, seen: dict[Chain, Seen], now: datetime) -> None:
        write_seen(session, seen, now)
        if fails:
            raise OperationalError("COMMIT", None, ConnectionError())

    with monkeypatch.context() as patch:
        patch.setattr(sink, "write_seen", away)
        try:
            centre.take(centre.record(1, MATCH, HOLDER).message)
        except OperationalError:
            assert fails
    centre.take(one.message, two.message)
    if fails:
        assert (centre.held(), centre.alarms(), tip(centre)[0]) == ([1, 2], {}, two.digest)
    else:
        assert centre.alarms() == {AlarmKind.EQUIVOCATION: 1, AlarmKind.BROKEN_CHAIN: 1}


def test_two_clerks_with_one_chain_take_turns(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two, three, four = (signed.message for signed in centre.chain(4))
    enter, lock_seen = sink.enter, sink.lock_seen
    is_second_here = threading.Event()
    receipts: list[Receipt] = []
    second = threading.Thread(target=lambda: receipts.extend(centre.take(two, three, four)))

    def lets_the_other_in(session: Session, fresh: Iterable[sink.Staged]) -> None:
        if threading.current_thread() is not second:
            second.start()
            assert is_second_here.wait(10)
        enter(session, fresh)

    def tells(session: Session, chains: Collection[Chain], now: datetime) -> dict[Chain, Seen]:
        if threading.current_thread() is second:
            is_second_here.set()
        return lock_seen(session, chains, now)

    monkeypatch.setattr(sink, "enter", lets_the_other_in)
    monkeypatch.setattr(sink, "lock_seen", tells)
    if centre.database.engine.dialect.name == "sqlite":
        is_second_here.set()  # there the second waits before its first statement
    centre.take(one, two, three)
    second.join(20)
    assert [(receipt.upto, receipt.gaps, receipt.rejections) for receipt in receipts] == [(4, (), ())]
    assert (centre.held(), centre.alarms()) == ([1, 2, 3, 4], {})


@pytest.mark.parametrize("is_clash", [True, False])
def test_an_id_that_is_held_at_another_place_is_found_out_and_said(centre: Centre, is_clash: bool) -> None:
    one = centre.record(1, record_id=TWIN)
    two = centre.record(2, prev=one.digest, record_id=TWIN if is_clash else None)
    three = centre.record(3, prev=two.digest)
    centre.take(one.message)
    (receipt,) = centre.take(two.message, three.message)
    if is_clash:
        assert [(rejection.fault, rejection.digest) for rejection in receipt.rejections] == [(Fault.EQUIVOCATION, two.digest)]
        assert (receipt.upto, receipt.gaps, centre.held()) == (3, ((2, 2),), [1, 3])
        assert centre.alarms() == {AlarmKind.EQUIVOCATION: 1}
    else:
        assert (receipt.upto, receipt.gaps, receipt.rejections, centre.alarms()) == (3, (), (), {})


def test_an_epoch_of_which_nothing_is_held_goes_on_from_the_beginning(centre: Centre) -> None:
    with centre.database.write() as session:
        locked = sink.lock_seen(session, [("kiosk-01", EPOCH)], NOW)
    assert locked == {("kiosk-01", EPOCH): Seen()}
    assert tip(centre) == (GENESIS, 0, None)

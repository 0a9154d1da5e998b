"""The judge: in the order it was signed, standing and effect together, and no record in the way of another."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from datetime import timedelta

import pytest
from joserfc.jwk import OKPKey
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from sync_agent.contract import envelope
from sync_agent.contract.codes import Code
from sync_agent.contract.envelope import Record
from sync_agent.contract.receipts import Standing
from sync_agent.contract.suites import INTL_1
from sync_agent.contract.topics import SHARDS, DeviceId, shard
from sync_agent.ingest import judge as judging
from sync_agent.ingest.judge import PATIENCE, Judge
from sync_agent.ingest.leases import LostShard
from sync_agent.registry import rules
from sync_agent.registry.rules import RuleBook
from sync_agent.registry.tables import AlarmKind, AttendanceRow, RecordRow, ReviewCase, VerificationRow
from sync_agent.settings import RuleSettings
from tests.sync_agent.ingest.centre import ALL_SHARDS, CASE, DEVICE, ENTERS, EPOCH, HOLDER, MATCH, REFERENCE, Centre, everywhere


def standings(centre: Centre) -> list[Standing | None]:
    with centre.database.read() as session:
        return list(session.scalars(select(RecordRow.standing).order_by(RecordRow.seq)))


def test_what_is_held_is_judged_and_its_ruling_said(centre: Centre) -> None:
    signed = centre.record(1, MATCH, HOLDER)
    centre.take(signed.message)
    assert standings(centre) == [None]
    (receipt,) = centre.decide()
    (ruling,) = receipt.rulings
    assert (receipt.epoch, receipt.upto, ruling.seq, ruling.digest) == (EPOCH, 1, 1, signed.digest)
    assert (ruling.standing, ruling.effective_from) == (Standing.ACCEPTED, centre.clock())
    assert (standings(centre), centre.count(VerificationRow)) == ([Standing.ACCEPTED], 1)
    assert centre.decide() == [], "once"


def test_an_attendance_that_arrives_before_its_verification_is_judged_after_it(centre: Centre) -> None:
    verified = centre.record(1, MATCH, HOLDER)
    entered = centre.record(2, ENTERS, REFERENCE, prev=verified.digest)
    centre.take(entered.message)
    assert centre.decide() == [], "behind a fresh gap it waits"
    centre.take(verified.message)
    (receipt,) = centre.decide()
    assert [(ruling.seq, ruling.standing) for ruling in receipt.rulings] == [(1, Standing.ACCEPTED), (2, Standing.ACCEPTED)]
    assert centre.count(AttendanceRow) == 1


def test_patience_ends(centre: Centre) -> None:
    centre.take(centre.record(2, ENTERS, REFERENCE).message)
    centre.clock.passes(seconds=PATIENCE.total_seconds())
    (receipt,) = centre.decide()
    assert [(ruling.seq, ruling.standing, ruling.code) for ruling in receipt.rulings] == [
        (2, Standing.REFUSED, Code.NOT_VERIFIED)
    ]


def test_what_is_before_a_gap_does_not_wait(centre: Centre) -> None:
    one, _, three = centre.chain(3)
    centre.take(one.message, three.message)
    (receipt,) = centre.decide()
    assert [ruling.seq for ruling in receipt.rulings] == [1]


def test_records_of_a_batch_are_judged_like_any(centre: Centre) -> None:
    verified = centre.record(1, MATCH, HOLDER)
    entered = centre.record(2, ENTERS, REFERENCE, prev=verified.digest)
    payloads = [envelope.payload_of(signed.message) for signed in (verified, entered)]
    centre.take(envelope.batch(payloads, centre.device_key))
    (receipt,) = centre.decide()
    assert [ruling.standing for ruling in receipt.rulings] == [Standing.ACCEPTED, Standing.ACCEPTED]


def of_another_kind(centre: Centre) -> bytes:
    """Return a verification in whose sealed part stands what belongs to an attendance."""
    sealed = INTL_1.seal(REFERENCE.model_dump_json().encode(), centre.registry_key)
    event = envelope.Event.model_validate_json(envelope.payload_of(centre.record(1, MATCH, HOLDER).message))
    other = event.model_copy(update={"data": event.data.model_copy(update={"sealed": sealed})})
    return INTL_1.sign(other.model_dump_json(exclude_none=True).encode(), centre.device_key, envelope.MEDIA_TYPE)


@pytest.mark.parametrize("kind", ["sealed to another", "of another kind"])
def test_what_cannot_be_read_stays_as_evidence_and_is_refused(centre: Centre, kind: str) -> None:
    if kind == "of another kind":
        message = of_another_kind(centre)
    else:
        message = centre.record(1, MATCH, HOLDER, registry_key=OKPKey.generate_key("X25519")).message
    (held,) = centre.take(message)
    assert held.upto == 1
    (receipt,) = centre.decide()
    assert [(ruling.standing, ruling.code) for ruling in receipt.rulings] == [(Standing.REFUSED, Code.UNREADABLE)]
    assert centre.alarms() == {AlarmKind.UNREADABLE: 1}


def test_what_was_sealed_to_the_key_before_still_opens(centre: Centre) -> None:
    old, centre.registry_key = centre.registry_key, OKPKey.generate_key("X25519")
    book = RuleBook.of(RuleSettings())
    keys = [centre.registry_key, old]
    judge = Judge(centre.database, book, centre.office, lambda: keys, lambda _: ALL_SHARDS, everywhere)
    centre.take(centre.record(1, MATCH, HOLDER, registry_key=old).message)
    (receipt,) = centre.read(judge.work())
    assert [ruling.standing for ruling in receipt.rulings] == [Standing.ACCEPTED]


def test_a_fault_of_ours_at_one_record_blocks_no_other_and_is_tried_again(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    centre.take(*(signed.message for signed in centre.chain(3)))
    apply = rules.apply

    def breaks_at_two(session: Session, record: Record, *rest: object) -> rules.Applied:
        applied = apply(session, record, *rest)  # type: ignore[arg-type]  # handed on as it came
        if record.event.seq == 2:
            raise KeyError("a bug")
        return applied

    with monkeypatch.context() as patch:
        patch.setattr(rules, "apply", breaks_at_two)
        (receipt,) = centre.decide()
    assert [ruling.seq for ruling in receipt.rulings] == [1, 3]
    assert standings(centre) == [Standing.IN_REVIEW, None, Standing.IN_REVIEW]
    assert centre.alarms() == {AlarmKind.NOT_JUDGED: 1}
    assert centre.decide() == [], "not before its time"
    centre.clock.passes(seconds=2)
    (receipt,) = centre.decide()
    assert [ruling.seq for ruling in receipt.rulings] == [2], "after the repair"


class Died(BaseException):
    """The end of a process: nobody in it catches this."""


def outlives(centre: Centre, judge: Judge) -> list[int]:
    """Have a judge judge all it can; return the sequences, or nothing when it dies."""
    seqs: list[int] = []
    while posts := judge.work():
        seqs += [ruling.seq for receipt in centre.read(posts) for ruling in receipt.rulings]
    return seqs


def tries(centre: Centre) -> list[tuple[int, bool]]:
    """Return of each record how often a try was counted, and whether it waits for the next."""
    with centre.database.read() as session:
        rows = session.scalars(select(RecordRow).order_by(RecordRow.seq))
        return [(row.tries, row.try_after is not None) for row in rows]


@pytest.fixture
def deadly(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """The sequences of records at which whoever asks the rules dies."""
    seqs: set[int] = set()
    apply = rules.apply

    def dies(session: Session, record: Record, *rest: object) -> rules.Applied:
        if record.event.seq in seqs:
            raise Died
        return apply(session, record, *rest)  # type: ignore[arg-type]  # handed on as it came

    monkeypatch.setattr(rules, "apply", dies)
    return seqs


def test_a_record_that_judges_die_at_is_set_aside_and_the_others_are_judged_in_order(centre: Centre, deadly: set[int]) -> None:
    centre.take(*(signed.message for signed in centre.chain(4)))
    deadly.add(2)
    with pytest.raises(Died):
        outlives(centre, centre.another_judge())
    assert tries(centre) == [(1, False)] * 4, "it may have been any of them, and none has to wait"
    for counted in (2, 3):
        with pytest.raises(Died):
            outlives(centre, centre.another_judge())
        assert standings(centre) == [Standing.IN_REVIEW, None, None, None]
        assert tries(centre)[1:] == [(counted, counted == 3), (1, False), (1, False)]
    assert centre.alarms() == {AlarmKind.NOT_JUDGED: 1}
    assert outlives(centre, centre.another_judge()) == [3, 4]
    centre.clock.passes(seconds=8)
    with pytest.raises(Died):
        outlives(centre, centre.judge)
    deadly.clear()
    assert outlives(centre, centre.another_judge()) == [], "not before its time"
    centre.clock.passes(seconds=16)
    assert outlives(centre, centre.another_judge()) == [2], "after the repair"
    assert centre.count(ReviewCase) == 4


def test_when_a_judge_has_caught_up_no_try_is_counted_before_it_is_made(centre: Centre, deadly: set[int]) -> None:
    one, two, three = centre.chain(3)
    centre.take(one.message)
    assert outlives(centre, centre.judge) == [1]
    centre.take(two.message, three.message)
    deadly.add(3)
    with pytest.raises(Died):
        outlives(centre, centre.judge)
    assert tries(centre) == [(1, False), (0, False), (0, False)]
    deadly.clear()
    assert outlives(centre, centre.another_judge()) == [2, 3]
    assert centre.alarms() == {}


def test_while_the_database_is_away_no_further_try_is_counted(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    centre.take(centre.record(1).message)

    def is_away(*_: object) -> rules.Applied:
        raise OperationalError("SELECT 1", None, Exception())

    with monkeypatch.context() as patch:
        patch.setattr(rules, "apply", is_away)
        for _ in range(4):
            with pytest.raises(OperationalError):
                centre.judge.work()
    assert tries(centre) == [(1, False)]
    assert outlives(centre, centre.judge) == [1]


def test_the_wait_between_two_tries_grows_to_minutes(small_centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    centre = small_centre
    centre.take(centre.record(1).message)

    def broken(*_: object) -> rules.Applied:
        raise KeyError("a bug")

    monkeypatch.setattr(rules, "apply", broken)
    waits = []
    for _ in range(12):
        assert centre.decide() == []
        with centre.database.read() as session:
            due = session.scalars(select(RecordRow.try_after)).one()
        assert due is not None
        waits.append(due - centre.clock())
        centre.clock.now = due
    assert waits[:3] == [timedelta(seconds=seconds) for seconds in (2, 4, 8)]
    assert centre.alarms() == {AlarmKind.NOT_JUDGED: len(waits)}
    assert max(waits) == waits[-1] == judging.RETRY_MAX


def test_more_than_a_piece_is_judged_whole_and_in_order(small_centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "SMALL_PIECE", 4)
    centre = small_centre
    devices = {DeviceId(f"kiosk-{number}"): OKPKey.generate_key("Ed25519") for number in range(10, 14)}
    with centre.database.write() as session:
        for device, key in devices.items():
            centre.enrol(session, device, key)
    letters = []
    for number, (device, key) in enumerate(devices.items()):
        count = 9 if number == 0 else 2
        messages = [centre.record(seq, device=device, key=key).message for seq in range(1, count + 1)]
        letters += centre.letters(messages, device)
    centre.clerk.take(letters)
    order = [(receipt.device, ruling.seq) for receipt in centre.decide() for ruling in receipt.rulings]
    assert len(order) == len(set(order)) == 15
    for device in devices:
        seqs = [seq for who, seq in order if who == device]
        assert seqs == sorted(seqs)
    first_of_all = {device: next(i for i, (who, _) in enumerate(order) if who == device) for device in devices}
    assert max(first_of_all.values()) < 12, "a long backlog of one does not keep the others waiting to its end"


def test_only_the_shards_that_are_held_are_judged(centre: Centre) -> None:
    centre.take(centre.record(1).message)
    own = frozenset({shard(DEVICE)})
    assert centre.another_judge(frozenset(range(SHARDS)) - own).work() == []
    assert centre.another_judge(frozenset()).work() == []
    assert len(centre.another_judge(own).work()) == 1


def test_a_shard_that_is_lost_is_not_judged(centre: Centre) -> None:
    def lost(_session: Session, shards: Iterable[int]) -> None:
        raise LostShard(shards)

    centre.take(centre.record(1, MATCH, HOLDER).message)
    book = RuleBook.of(RuleSettings())
    judge = Judge(centre.database, book, centre.office, lambda: [centre.registry_key], lambda _: ALL_SHARDS, lost)
    with pytest.raises(LostShard):
        judge.work()
    assert (standings(centre), centre.count(VerificationRow)) == ([None], 0)
    assert len(centre.decide()) == 1


def test_two_judges_at_once_judge_every_record_once(centre: Centre) -> None:
    centre.take(*(signed.message for signed in centre.chain(40)))
    judges = [centre.another_judge() for _ in range(2)]
    together, seqs, failures = threading.Barrier(2), list[int](), list[BaseException]()

    def work(judge: Judge) -> None:
        together.wait(10)
        try:
            while posts := judge.work():
                seqs.extend(ruling.seq for receipt in centre.read(posts) for ruling in receipt.rulings)
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work, args=(judge,)) for judge in judges]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert failures == []
    assert sorted(seqs) == list(range(1, 41))


def test_a_personal_part_is_not_asked_for_where_the_kind_has_none(small_centre: Centre) -> None:
    small_centre.take(small_centre.record(1, CASE).message)
    (receipt,) = small_centre.decide()
    assert [ruling.standing for ruling in receipt.rulings] == [Standing.IN_REVIEW]

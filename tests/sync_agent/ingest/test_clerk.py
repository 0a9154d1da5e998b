"""The clerk: held exactly once, whatever comes, on SQLite and on PostgreSQL."""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc.jwk import OKPKey
from sqlalchemy import select, update
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.orm import Session

from sync_agent.contract import envelope, topics
from sync_agent.contract.codes import Fault
from sync_agent.contract.receipts import Standing
from sync_agent.contract.status import Birth, Link
from sync_agent.contract.status import State as DeviceState
from sync_agent.contract.suites import INTL_1
from sync_agent.contract.topics import DeviceId, Up, shard
from sync_agent.ingest import sink
from sync_agent.ingest.clerk import Clerk
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.leases import LostShard
from sync_agent.ingest.verifiers import Verifiers
from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import Vault
from sync_agent.registry.tables import (
    AlarmKind,
    ClockDoubt,
    Device,
    DeviceKey,
    DeviceSeen,
    DeviceStatus,
    Quarantine,
    RecordRow,
)
from tests.sync_agent.ingest.centre import DEVICE, EPOCH, HOLDER, MATCH, NOW, SITE, TENANT, Centre

OTHER = DeviceId("kiosk-02")


def test_a_record_is_held_and_answered_with_a_signed_receipt(centre: Centre) -> None:
    (receipt,) = centre.take(centre.record(1, MATCH, HOLDER).message)
    assert (receipt.epoch, receipt.upto, receipt.gaps, receipt.rulings) == (EPOCH, 1, (), ())
    assert centre.alarms() == {}


def test_what_is_held_proves_itself(centre: Centre) -> None:
    one, two = centre.chain(2)
    message = envelope.batch([envelope.payload_of(one.message), envelope.payload_of(two.message)], centre.device_key)
    centre.take(message)
    with centre.database.read() as session:
        for row in session.scalars(select(RecordRow)):
            record = envelope.read(row.message, centre.device_key, TENANT, DEVICE)
            assert (record.event.seq, record.digest, row.shard) == (row.seq, row.digest, shard(DEVICE))


def test_a_batch_of_twenty_is_one_receipt(centre: Centre) -> None:
    payloads = [envelope.payload_of(signed.message) for signed in centre.chain(20)]
    (receipt,) = centre.take(envelope.batch(payloads, centre.device_key))
    assert (receipt.upto, receipt.gaps, len(centre.held())) == (20, (), 20)
    assert centre.alarms() == {}


def test_one_bad_record_of_a_batch_is_quarantined_alone(centre: Centre) -> None:
    payloads = [envelope.payload_of(signed.message) for signed in centre.chain(3)]
    payloads[1] = payloads[1].replace(b'"cause":"help"', b'"cause":"nope"')
    message = envelope.batch(payloads, centre.device_key)
    (receipt,) = centre.take(message)
    (rejection,) = receipt.rejections
    assert (rejection.fault, rejection.digest) == (Fault.BAD_CONTENT, INTL_1.digest(payloads[1]))
    assert rejection.message_sha256 == INTL_1.digest(message)
    assert centre.held() == [1, 3]
    with centre.database.read() as session:
        kept = session.scalars(select(Quarantine)).one()
        assert (kept.device_id, kept.epoch, kept.seq) == (DEVICE, EPOCH, 2)
        assert kept.raw == envelope.alone(message, payloads[1])


def test_the_same_record_ten_times_is_one_row_and_the_same_answer(centre: Centre) -> None:
    message = centre.record(1, MATCH, HOLDER).message
    answers = [centre.take(message, message) for _ in range(5)]
    assert centre.count(RecordRow) == 1
    assert all(answer == answers[0] for answer in answers)
    assert centre.alarms() == {}


def test_a_repeat_of_what_was_judged_is_answered_with_the_ruling(centre: Centre) -> None:
    signed = centre.record(1, MATCH, HOLDER)
    centre.take(signed.message)
    (judged,) = centre.decide()
    (again,) = centre.take(signed.message)
    assert again.rulings == judged.rulings
    assert [ruling.standing for ruling in again.rulings] == [Standing.ACCEPTED]


@pytest.mark.parametrize("together", [True, False])
def test_other_bytes_under_a_known_sequence_are_kept_apart_and_the_first_copy_stays(centre: Centre, together: bool) -> None:
    first, second = centre.record(1), centre.record(1, MATCH, HOLDER)
    if together:
        (receipt,) = centre.take(first.message, second.message)
    else:
        centre.take(first.message)
        (receipt,) = centre.take(second.message)
    assert [(rejection.fault, rejection.digest) for rejection in receipt.rejections] == [(Fault.EQUIVOCATION, second.digest)]
    assert centre.alarms() == {AlarmKind.EQUIVOCATION: 1}
    with centre.database.read() as session:
        assert session.scalars(select(RecordRow.digest)).all() == [first.digest]


def test_the_second_copy_is_refused_also_where_the_first_comes_again_with_it(centre: Centre) -> None:
    first, second = centre.record(1), centre.record(1, MATCH, HOLDER)
    centre.take(first.message)
    (receipt,) = centre.take(second.message, first.message)
    assert [rejection.digest for rejection in receipt.rejections] == [second.digest]


def test_a_record_id_that_is_held_at_another_place_is_refused(centre: Centre) -> None:
    one = centre.record(1, record_id="0190a0a0-0000-7000-8000-000000000001")
    two = centre.record(2, prev=one.digest, record_id="0190a0a0-0000-7000-8000-000000000001")
    (receipt,) = centre.take(one.message, two.message)
    assert (receipt.upto, [rejection.fault for rejection in receipt.rejections]) == (1, [Fault.EQUIVOCATION])
    assert centre.alarms() == {AlarmKind.EQUIVOCATION: 1}


def test_a_hole_is_named_in_the_receipt_and_closes_when_the_record_comes(centre: Centre) -> None:
    one, two, three = centre.chain(3)
    (receipt,) = centre.take(one.message, three.message)
    assert (receipt.upto, receipt.gaps) == (3, ((2, 2),))
    with centre.database.read() as session:
        gap = {"first": 2, "last": 2, "since": NOW.isoformat()}
        assert session.scalars(select(DeviceSeen.gaps)).one() == [gap]
    (receipt,) = centre.take(two.message)
    assert (receipt.upto, receipt.gaps) == (3, ())
    assert centre.alarms() == {}


@pytest.mark.parametrize("last", [1, 3], ids=["seen from behind", "seen from before"])
def test_a_record_that_does_not_name_the_one_before_it_is_kept_with_an_alarm(centre: Centre, last: int) -> None:
    one, two, _ = centre.chain(3)
    stray = centre.record(3, prev="f" * 64)
    order = [one, stray, two] if last == 3 else [two, stray, one]
    for signed in order:
        centre.take(signed.message)
    assert centre.held() == [1, 2, 3]
    assert centre.alarms() == {AlarmKind.BROKEN_CHAIN: 1}
    centre.take(stray.message)
    assert centre.alarms() == {AlarmKind.BROKEN_CHAIN: 1}, "a repeat says nothing new"


def test_a_chain_that_does_not_begin_at_its_beginning_is_an_alarm(centre: Centre) -> None:
    centre.take(centre.record(1, prev="f" * 64).message)
    assert centre.alarms() == {AlarmKind.BROKEN_CHAIN: 1}


def clocks(centre: Centre) -> list[ClockDoubt | None]:
    with centre.database.read() as session:
        return list(session.scalars(select(RecordRow.clock).order_by(RecordRow.seq)))


@pytest.mark.parametrize(
    ("off", "doubt"),
    [
        (timedelta(days=365), ClockDoubt.AHEAD),
        (timedelta(minutes=4), None),
        (timedelta(minutes=-4), None),
        (timedelta(days=-365), ClockDoubt.BEHIND),
    ],
)
def test_a_clock_that_is_far_off_is_noted_at_the_record_and_sounds(
    centre: Centre, off: timedelta, doubt: ClockDoubt | None
) -> None:
    (receipt,) = centre.take(centre.record(1, time=NOW + off).message)
    assert receipt.upto == 1, "it is held all the same"
    assert clocks(centre) == [doubt]
    assert centre.alarms() == ({AlarmKind.CLOCK: 1} if doubt else {})


@pytest.mark.parametrize(("boot", "doubt"), [(1, ClockDoubt.BACKWARDS), (2, None)], ids=["same start", "next start"])
def test_a_clock_that_goes_back_is_noted_within_one_start(centre: Centre, boot: int, doubt: ClockDoubt | None) -> None:
    centre.clock.passes(hours=1)
    one = centre.record(1)
    two = centre.record(2, prev=one.digest, time=NOW + timedelta(minutes=30), boot=boot)
    centre.take(one.message, two.message)
    assert clocks(centre) == [None, doubt]
    assert centre.alarms() == ({AlarmKind.CLOCK: 1} if doubt else {})


def corrupted(message: bytes) -> bytes:
    header, payload, signature = message.split(b".")
    event = bytearray(base64.urlsafe_b64decode(payload + b"=="))
    event[-3] ^= 1
    return b".".join((header, base64.urlsafe_b64encode(event).rstrip(b"="), signature))


def changed(centre: Centre, old: bytes, new: bytes) -> bytes:
    """Return a record of the device itself in which something stands that no kiosk writes."""
    payload = envelope.payload_of(centre.record(1).message)
    assert old in payload
    return INTL_1.sign(payload.replace(old, new), centre.device_key, envelope.MEDIA_TYPE)


POISON: dict[str, tuple[Fault, Callable[[Centre], bytes]]] = {
    "noise": (Fault.TOO_LARGE, lambda _: bytes(range(256)) * 4096),
    "not signed": (Fault.NOT_A_RECORD, lambda _: b'{"seq": 1}'),
    "nothing": (Fault.NOT_A_RECORD, lambda _: b""),
    "bad signature": (Fault.BAD_SIGNATURE, lambda centre: corrupted(centre.record(1).message)),
    "a batch with a line too many": (
        Fault.BAD_SIGNATURE,
        lambda centre: envelope.batch([b"{}"], centre.device_key) + b"\n{}\n{ }",
    ),
    "a receipt": (Fault.BAD_SIGNATURE, lambda centre: INTL_1.sign(b"{}", centre.device_key, "rz-receipt+jws")),
    "unknown key": (Fault.UNKNOWN_KEY, lambda _: INTL_1.sign(b"{}", OKPKey.generate_key("Ed25519"), envelope.MEDIA_TYPE)),
    "unknown version": (Fault.UNKNOWN_VERSION, lambda centre: changed(centre, b".case.v1", b".case.v9")),
    "unknown suite": (Fault.UNKNOWN_SUITE, lambda centre: changed(centre, b'"intl-1"', b'"sm-1"')),
    "another's name": (Fault.WRONG_DEVICE, lambda centre: changed(centre, b"kiosk-01", b"kiosk-99")),
    "no JSON": (Fault.BAD_CONTENT, lambda centre: changed(centre, b'"seq":1', b'"seq":')),
    "deep JSON": (Fault.BAD_CONTENT, lambda centre: INTL_1.sign(b"[" * 20_000, centre.device_key, envelope.MEDIA_TYPE)),
    "a NUL": (Fault.BAD_CONTENT, lambda centre: changed(centre, b'"step":"face"', b'"step":"fa\\u0000ce"')),
    "half a character": (Fault.BAD_CONTENT, lambda centre: changed(centre, b'"step":"face"', b'"step":"fa\\ud800ce"')),
    "before the calendar": (
        Fault.BAD_CONTENT,
        lambda centre: changed(centre, b'"2026-11-23T08:00:00Z"', b'"0001-01-01T00:00:00+14:00"'),
    ),
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_is_quarantined_answered_and_holds_up_nobody(centre: Centre, kind: str) -> None:
    fault, make = POISON[kind]
    good = centre.record(2)
    answers = centre.take(make(centre), good.message)
    assert centre.faults() == [fault]
    assert [rejection.fault for answer in answers for rejection in answer.rejections] == [fault]
    assert centre.held() == [2]


def test_noise_that_comes_again_is_kept_once(centre: Centre) -> None:
    for _ in range(3):
        centre.take(b"noise")
    with centre.database.read() as session:
        assert session.scalars(select(Quarantine.times)).all() == [3]


def revoke(centre: Centre) -> None:
    with centre.database.write() as session:
        session.execute(update(DeviceKey).values(revoked_at=centre.clock()))


def test_a_revoked_key_is_refused_from_then_on_and_what_came_before_stands(centre: Centre) -> None:
    one, two = centre.chain(2)
    centre.take(one.message)
    revoke(centre)
    (receipt,) = centre.take(two.message)
    assert (receipt.upto, [rejection.fault for rejection in receipt.rejections]) == (1, [Fault.REVOKED_KEY])
    assert centre.held() == [1]
    assert centre.alarms() == {AlarmKind.REVOKED_STILL_SENDING: 1}
    (receipt,) = centre.take(one.message)
    assert (receipt.upto, receipt.rejections) == (1, ()), "what was held before is not denied"


def test_what_came_before_a_revocation_is_held_when_its_turn_is_after_it(centre: Centre) -> None:
    letters = centre.letters([centre.record(1).message])
    centre.clock.passes(seconds=1)
    revoke(centre)
    centre.clerk.take(letters)
    assert centre.held() == [1]


def test_a_device_cannot_speak_with_the_key_of_another(centre: Centre) -> None:
    with centre.database.write() as session:
        centre.enrol(session, OTHER, OKPKey.generate_key("Ed25519"))
    centre.take(centre.record(1).message, device=OTHER)
    assert centre.faults() == [Fault.WRONG_DEVICE]
    assert centre.held() == []


def test_a_message_on_a_topic_that_is_none_of_ours_is_kept_and_answered_to_nobody(centre: Centre) -> None:
    assert centre.clerk.take([Letter(1, 1, 1, "rz/1/xz/up/99/kiosk-01/rec", b"x", NOW)]) == []
    assert centre.clerk.take([Letter(1, 1, 1, topics.up(topics.Tenant("yy"), DEVICE, Up.RECORD), b"x", NOW)]) == []
    assert centre.faults() == [Fault.NOT_A_RECORD, Fault.NOT_A_RECORD]


def test_several_devices_in_one_batch_have_a_receipt_each(centre: Centre) -> None:
    key = OKPKey.generate_key("Ed25519")
    with centre.database.write() as session:
        centre.enrol(session, OTHER, key)
    letters = centre.letters([signed.message for signed in centre.chain(3)])
    letters += centre.letters([centre.record(1, device=OTHER, key=key).message], OTHER)
    assert [(receipt.device, receipt.upto) for receipt in centre.read(centre.clerk.take(letters))] == [(DEVICE, 3), (OTHER, 1)]


def test_what_the_database_refuses_for_what_it_is_blocks_only_itself(centre: Centre, monkeypatch: pytest.MonkeyPatch) -> None:
    signed = centre.chain(7)
    enter = sink.enter

    def refuses_the_fourth(session: Session, fresh: Iterable[sink.Staged]) -> None:
        fresh = list(fresh)
        if any(staged.entry.seq == 4 for staged in fresh):
            raise DataError("COPY", None, ValueError("out of range"))
        enter(session, fresh)

    with monkeypatch.context() as patch:
        patch.setattr(sink, "enter", refuses_the_fourth)
        receipts = centre.take(*(one.message for one in signed))
    assert centre.held() == [1, 2, 3, 5, 6, 7]
    assert centre.faults() == [Fault.INTERNAL]
    assert all(not receipt.rejections for receipt in receipts), "the device is told nothing, so that it sends again"
    (receipt,) = centre.take(signed[3].message)
    assert (receipt.upto, receipt.gaps) == (7, ()), "after the repair it is held"


def test_a_shard_that_is_lost_writes_nothing(centre: Centre) -> None:
    def lost(_session: Session, shards: Iterable[int]) -> None:
        raise LostShard(shards)

    clerk = Clerk(centre.database, centre.office, Verifiers(0), lost)
    letters = centre.letters([centre.record(1).message, b"noise"])
    with pytest.raises(LostShard) as failure:
        clerk.take(letters)
    assert failure.value.shards == {shard(DEVICE)}
    assert (centre.held(), centre.faults()) == ([], [])
    centre.clerk.take(letters)
    assert (centre.held(), centre.faults()) == ([1], [Fault.NOT_A_RECORD])


def birth(centre: Centre, last_seq: int, last_digest: str, *, nonce: str = "n1", boot: int = 1, epoch: str = EPOCH) -> bytes:
    said = Birth(boot=boot, version="0.1.0", site=SITE, epoch=epoch, last_seq=last_seq, last_digest=last_digest, nonce=nonce)
    return said.model_dump_json().encode()


def test_what_a_device_says_of_itself_is_taken_and_nonsense_is_quarantined(centre: Centre) -> None:
    assert centre.take(birth(centre, 0, "", nonce=""), what=Up.BIRTH) == [], "who asks nothing is not answered"
    online = DeviceState(boot=1, link=Link.ONLINE).model_dump_json().encode()
    centre.take(online, b"{", what=Up.STATE)
    with centre.database.read() as session:
        status = session.get_one(DeviceStatus, DEVICE)
        assert (status.link, status.version) == (Link.ONLINE, "0.1.0")
    assert centre.faults() == [Fault.BAD_CONTENT]


UNFIT: dict[str, tuple[Up, dict[str, object]]] = {
    "a sequence too far": (Up.BIRTH, {"last_seq": 2**31 - 1}),
    "a sequence beyond the database": (Up.BIRTH, {"last_seq": 2**63}),
    "an epoch too long": (Up.BIRTH, {"epoch": "a" * 17}),
    "an epoch that is none": (Up.BIRTH, {"epoch": "z" * 16}),
    "a digest too long": (Up.BIRTH, {"last_digest": "a" * 65}),
    "a start beyond the database": (Up.BIRTH, {"boot": 2**31}),
    "a trust list beyond the database": (Up.BIRTH, {"trust": 2**31}),
    "a NUL": (Up.BIRTH, {"version": "0\0"}),
    "a state beyond the database": (Up.STATE, {"boot": 2**31}),
    "a queue beyond the database": (Up.TELEMETRY, {"queue": 2**31}),
    "an age beyond the calendar": (Up.TELEMETRY, {"oldest_age_s": 2**40, "queue": 1}),
    "before the calendar": (Up.TELEMETRY, {"at": "0001-01-01T00:00:00+14:00"}),
    "a part since before the calendar": (
        Up.TELEMETRY,
        {"parts": {"reader": {"state": "well", "since": "0001-01-01T00:00:00+14:00"}}},
    ),
    "a self-test without end": (
        Up.TELEMETRY,
        {"parts": {f"part-{number}": {"state": "well", "since": "2026-11-23T08:00:00Z"} for number in range(65)}},
    ),
    "a NUL in a part": (Up.TELEMETRY, {"parts": {"\0": {"state": "well", "since": "2026-11-23T08:00:00Z"}}}),
}
FIT: dict[Up, dict[str, object]] = {
    Up.BIRTH: {"boot": 2**31 - 1, "version": "0", "site": SITE, "epoch": EPOCH, "last_seq": 2**31 - 2, "last_digest": ""},
    Up.STATE: {"boot": 2**31 - 1, "link": "online"},
    Up.TELEMETRY: {"at": "2026-11-23T08:00:00Z", "queue": 2**31 - 1, "oldest_age_s": 2**31 - 1},
}


@pytest.mark.parametrize("kind", UNFIT)
def test_words_that_the_database_cannot_keep_are_unfit_and_no_fault_of_ours(centre: Centre, kind: str) -> None:
    what, change = UNFIT[kind]
    centre.take(json.dumps(FIT[what] | {"nonce": "n1"} | change).encode(), what=what)
    assert centre.faults() == [Fault.BAD_CONTENT]


@pytest.mark.parametrize("what", FIT)
def test_words_at_the_bounds_are_taken(centre: Centre, what: Up) -> None:
    receipts = centre.take(json.dumps(FIT[what] | {"nonce": "n1"}).encode(), what=what)
    assert centre.faults() == []
    assert [receipt.gaps for receipt in receipts] == ([((1, 2**31 - 2),)] if what is Up.BIRTH else [])


def test_the_last_sequence_there_is_is_held_and_one_beyond_it_is_refused_and_answered(centre: Centre) -> None:
    (receipt,) = centre.take(centre.record(2**31 - 2, prev="0" * 64).message)
    assert (receipt.upto, receipt.gaps) == (2**31 - 2, ((1, 2**31 - 3),))
    (receipt,) = centre.take(changed(centre, b'"seq":1,', b'"seq":2147483647,'))
    assert [rejection.fault for rejection in receipt.rejections] == [Fault.BAD_CONTENT]
    assert centre.faults() == [Fault.BAD_CONTENT]


def test_a_birth_is_answered_with_all_that_is_missing(centre: Centre) -> None:
    signed = centre.chain(6)
    centre.take(signed[0].message, signed[3].message)
    (receipt,) = centre.take(birth(centre, 6, signed[5].digest), what=Up.BIRTH)
    assert (receipt.reconciles, receipt.upto, receipt.gaps) == ("n1", 4, ((2, 3), (5, 6)))
    (receipt,) = centre.take(birth(centre, 3, "", nonce="n2", epoch="f" * 16), what=Up.BIRTH)
    assert (receipt.reconciles, receipt.upto, receipt.gaps) == ("n2", 0, ((1, 3),)), "an epoch nobody heard of"
    assert centre.alarms() == {}


@pytest.mark.parametrize(
    ("last_seq", "is_own_digest", "is_alarm"),
    [(4, True, False), (9, False, False), (4, False, True), (3, True, True), (0, True, True)],
)
def test_a_device_that_says_less_or_other_than_is_held_was_rolled_back(
    centre: Centre, last_seq: int, is_own_digest: bool, is_alarm: bool
) -> None:
    signed = centre.chain(4)
    centre.take(*(one.message for one in signed))
    digest = signed[last_seq - 1].digest if is_own_digest and last_seq else "0" * 64
    (receipt,) = centre.take(birth(centre, last_seq, digest), what=Up.BIRTH)
    assert (receipt.reconciles, receipt.upto) == ("n1", 4)
    assert centre.alarms() == ({AlarmKind.ROLLED_BACK: 1} if is_alarm else {})


def test_births_that_the_broker_gives_again_after_an_agent_s_death_are_no_alarm(centre: Centre) -> None:
    signed = centre.chain(3)
    for seq in (1, 2, 3):
        centre.take(birth(centre, seq - 1, signed[seq - 2].digest if seq > 1 else "", nonce=f"n{seq}"), what=Up.BIRTH)
        centre.take(signed[seq - 1].message)
    for seq in (1, 2, 3):
        centre.take(birth(centre, seq - 1, signed[seq - 2].digest if seq > 1 else "", nonce=f"n{seq}"), what=Up.BIRTH)
    assert centre.alarms() == {}
    centre.take(birth(centre, 1, signed[0].digest, nonce="n4"), what=Up.BIRTH)
    assert centre.alarms() == {AlarmKind.ROLLED_BACK: 1}, "the control: a new birth that says so"


def test_what_stays_missing_sounds_an_hour_later_until_it_comes(centre: Centre) -> None:
    signed = centre.chain(3)
    centre.take(signed[0].message, signed[2].message)
    centre.take(birth(centre, 3, signed[2].digest, nonce="n1"), what=Up.BIRTH)
    assert centre.alarms() == {}
    centre.clock.passes(minutes=61)
    centre.take(birth(centre, 3, signed[2].digest, nonce="n2"), what=Up.BIRTH)
    assert centre.alarms() == {AlarmKind.GAP: 1}
    centre.take(signed[1].message)
    centre.take(birth(centre, 3, signed[2].digest, nonce="n3"), what=Up.BIRTH)
    assert centre.alarms() == {}


def test_a_birth_that_the_broker_gives_again_is_answered_and_is_no_alarm(centre: Centre) -> None:
    signed = centre.chain(3)
    message = birth(centre, 1, signed[0].digest)
    letters = centre.letters([one.message for one in signed]) + centre.letters([message], what=Up.BIRTH)
    (receipt,) = centre.read(centre.clerk.take(letters))
    assert (receipt.reconciles, receipt.upto) == ("n1", 3), "one receipt for both"
    (receipt,) = centre.take(message, what=Up.BIRTH)
    assert (receipt.reconciles, receipt.upto) == ("n1", 3)
    assert centre.alarms() == {}


def test_a_locked_database_holds_nothing_and_the_batch_can_be_tried_again(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'registry.db'}", Vault(bytes(32)), busy_s=0.05)
    migrate(database.engine)
    centre = Centre(database)
    letters = centre.letters([b"noise", centre.record(1).message])
    other = sqlite3.connect(tmp_path / "registry.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError):
        centre.clerk.take(letters)
    other.execute("ROLLBACK")
    other.close()
    assert (centre.held(), centre.faults()) == ([], [])
    assert len(centre.clerk.take(letters)) == 2
    assert (centre.held(), centre.faults()) == ([1], [Fault.NOT_A_RECORD])
    database.close()


def test_an_unknown_device_has_no_place_in_the_ledger(centre: Centre) -> None:
    with centre.database.read() as session:
        assert session.get(Device, OTHER) is None
    key = OKPKey.generate_key("Ed25519")
    centre.take(centre.record(1, device=OTHER, key=key).message, device=OTHER)
    assert centre.faults() == [Fault.UNKNOWN_KEY]

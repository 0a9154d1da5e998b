"""The clerk: exactly once in effect, whatever comes, on SQLite and on PostgreSQL."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import uuid_utils
from joserfc.jwk import OKPKey
from sqlalchemy import func, select, update
from sqlalchemy.exc import OperationalError

from sync_agent.contract import envelope, receipts, topics
from sync_agent.contract.codes import Fault
from sync_agent.contract.envelope import GENESIS, Place, Signed
from sync_agent.contract.kinds import (
    CardFacts,
    CardHolder,
    CardKind,
    Case,
    Cause,
    Comparison,
    Consent,
    Facts,
    Liveness,
    Method,
    Outcome,
    Part,
    Provenance,
    Verification,
)
from sync_agent.contract.receipts import Receipt, Standing
from sync_agent.contract.status import Birth, Link
from sync_agent.contract.status import State as DeviceState
from sync_agent.contract.suites import INTL_1
from sync_agent.contract.topics import DeviceId, Tenant, Up
from sync_agent.ingest.clerk import Clerk
from sync_agent.ingest.receiver import Letter
from sync_agent.registry import roster, rules
from sync_agent.registry.database import Database
from sync_agent.registry.migrations import migrate
from sync_agent.registry.protect import Vault
from sync_agent.registry.rules import RuleBook
from sync_agent.registry.tables import Base, Device, DeviceKey, DeviceSeen, DeviceStatus, Quarantine, RecordRow, Site
from sync_agent.settings import RuleSettings

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
TENANT, DEVICE, SITE, EPOCH = Tenant("xz"), DeviceId("kiosk-01"), "site-1", "0123456789abcdef"
HOLDER = CardHolder(
    name="扎西顿珠", number="540102198803150011", sex="1", birth=date(1988, 3, 15), valid_from=date(2020, 6, 1), valid_until=None
)
CASE = Case(site=SITE, step="face", cause=Cause.HELP)
MATCH = Verification(
    site=SITE,
    card=CardFacts(kind=CardKind.RESIDENT, provenance=Provenance.SAM_VERIFIED, reader_module="module-1"),
    consent=Consent(notice="1", compare=True, keep_photo=False, at=NOW),
    method=Method.FACE,
    outcome=Outcome.MATCH,
    comparisons=(
        Comparison(
            outcome=Outcome.MATCH,
            distance=0.3,
            accept_at=0.4,
            review_at=0.5,
            pack="dlib",
            pack_sha256="0" * 64,
            liveness=Liveness.NOT_RUN,
            frames=5,
        ),
    ),
)


@dataclass
class Office:
    """A clerk with a registry, and one device that it knows."""

    database: Database
    clerk: Clerk
    device_key: OKPKey
    registry_key: OKPKey
    receipt_key: OKPKey

    def record(self, seq: int, facts: Facts = CASE, personal: Part | None = None, *, prev: str = GENESIS) -> Signed:
        return envelope.write(
            facts,
            personal,
            record_id=str(uuid_utils.uuid7()),
            source=(TENANT, DEVICE),
            time=NOW,
            place=Place(EPOCH, seq, prev),
            boot=1,
            clock_age_s=None,
            signing_key=self.device_key,
            registry_key=self.registry_key,
        )

    def take(self, *messages: bytes, device: DeviceId = DEVICE, what: Up = Up.RECORD) -> list[Receipt]:
        letters = [Letter(1, n, 1, topics.up(TENANT, device, what), message, NOW) for n, message in enumerate(messages)]
        return [receipts.read(post.payload, self.receipt_key, DEVICE) for post in self.clerk.take(letters)]

    def count(self, table: type[Base]) -> int:
        with self.database.read() as session:
            return session.scalar(select(func.count()).select_from(table)) or 0

    def faults(self) -> list[Fault]:
        with self.database.read() as session:
            return list(session.scalars(select(Quarantine.fault).order_by(Quarantine.id)))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def office(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Office]:
    url = f"sqlite:///{tmp_path / 'registry.db'}" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    database = Database(url, Vault(bytes(32)), busy_s=0.1)
    migrate(database.engine)
    device_key, registry_key = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("X25519")
    receipt_key = OKPKey.generate_key("Ed25519")
    with database.write() as session:
        roster.import_people(session, f"name,number\n{HOLDER.name},{HOLDER.number}\n", SITE, NOW)
        session.add(Device(id=DEVICE, site_id=SITE, serial="", enrolled_at=NOW))
        session.flush()
        public = {name: str(value) for name, value in device_key.as_dict(private=False).items()}
        session.add(DeviceKey(kid=device_key.thumbprint(), device_id=DEVICE, public_key=public, valid_from=NOW))
    clerk = Clerk(
        database,
        RuleBook.of(RuleSettings()),
        tenant=TENANT,
        registry_key=registry_key,
        receipt_key=receipt_key,
        now=lambda: NOW,
    )
    yield Office(database, clerk, device_key, registry_key, receipt_key)
    database.close()


def test_a_record_is_applied_and_answered_with_a_signed_receipt(office: Office) -> None:
    signed = office.record(1, MATCH, HOLDER)
    (receipt,) = office.take(signed.message)
    (ruling,) = receipt.rulings
    assert (receipt.epoch, receipt.upto, receipt.gaps) == (EPOCH, 1, ())
    assert (ruling.seq, ruling.digest, ruling.standing, ruling.effective_from) == (1, signed.digest, Standing.ACCEPTED, NOW)


def test_the_same_record_ten_times_is_one_row_and_the_same_answer(office: Office) -> None:
    message = office.record(1, MATCH, HOLDER).message
    answers = [office.take(message, message) for _ in range(5)]
    assert office.count(RecordRow) == 1
    assert all(answer == answers[0] for answer in answers)


def test_other_bytes_under_a_known_sequence_are_kept_apart_and_the_first_copy_stays(office: Office) -> None:
    first, second = office.record(1), office.record(1, MATCH, HOLDER)
    office.take(first.message)
    (receipt,) = office.take(second.message)
    assert [rejection.fault for rejection in receipt.rejections] == [Fault.EQUIVOCATION]
    with office.database.read() as session:
        assert session.scalars(select(RecordRow.digest)).all() == [first.digest]


def test_a_hole_is_named_in_the_receipt_and_closes_when_the_record_comes(office: Office) -> None:
    one, two, three = (office.record(seq) for seq in (1, 2, 3))
    (receipt,) = office.take(one.message, three.message)
    assert (receipt.upto, receipt.gaps) == (3, ((2, 2),))
    (receipt,) = office.take(two.message)
    assert (receipt.upto, receipt.gaps) == (3, ())


def corrupted(message: bytes) -> bytes:
    header, payload, signature = message.split(b".")
    event = bytearray(base64.urlsafe_b64decode(payload + b"=="))
    event[-3] ^= 1
    return b".".join((header, base64.urlsafe_b64encode(event).rstrip(b"="), signature))


def poison(office: Office, kind: str) -> bytes:
    signed = office.record(1)
    match kind:
        case "noise":
            return bytes(range(256)) * 4096
        case "not signed":
            return b'{"seq": 1}'
        case "bad signature":
            return corrupted(signed.message)
        case "unknown key":
            stranger = OKPKey.generate_key("Ed25519")
            return INTL_1.sign(b"{}", stranger, envelope.MEDIA_TYPE)
        case "unknown version":
            payload = INTL_1.verify(signed.message, office.device_key, envelope.MEDIA_TYPE)
            newer = payload.replace(b".case.v1", b".case.v9")
            return INTL_1.sign(newer, office.device_key, envelope.MEDIA_TYPE)
        case "sealed to another registry":
            stranger = OKPKey.generate_key("X25519")
            other = Office(office.database, office.clerk, office.device_key, stranger, office.receipt_key)
            return other.record(1, MATCH, HOLDER).message
        case _:
            raise AssertionError(kind)


POISON = {
    "noise": Fault.TOO_LARGE,
    "not signed": Fault.NOT_A_RECORD,
    "bad signature": Fault.BAD_SIGNATURE,
    "unknown key": Fault.UNKNOWN_KEY,
    "unknown version": Fault.UNKNOWN_VERSION,
    "sealed to another registry": Fault.CANNOT_OPEN,
}


@pytest.mark.parametrize("kind", POISON)
def test_poison_is_quarantined_answered_and_holds_up_nobody(office: Office, kind: str) -> None:
    good = office.record(2)
    answers = office.take(poison(office, kind), good.message)
    assert office.faults() == [POISON[kind]]
    assert [rejection.fault for answer in answers for rejection in answer.rejections] == [POISON[kind]]
    assert [ruling.seq for answer in answers for ruling in answer.rulings] == [2]
    assert office.count(RecordRow) == 1


def test_noise_that_comes_again_is_kept_once(office: Office) -> None:
    for _ in range(3):
        office.take(b"noise")
    assert office.count(Quarantine) == 1
    with office.database.read() as session:
        assert session.scalars(select(Quarantine.times)).one() == 3


def test_a_revoked_key_is_refused_from_then_on_and_what_came_before_stands(office: Office) -> None:
    office.take(office.record(1).message)
    with office.database.write() as session:
        session.execute(update(DeviceKey).values(revoked_at=NOW - timedelta(seconds=1)))
    (receipt,) = office.take(office.record(2).message)
    assert [rejection.fault for rejection in receipt.rejections] == [Fault.REVOKED_KEY]
    assert office.count(RecordRow) == 1


def test_a_device_cannot_speak_with_the_key_of_another(office: Office) -> None:
    stranger = DeviceId("kiosk-02")
    with office.database.write() as session:
        session.add(Device(id=stranger, site_id=SITE, serial="", enrolled_at=NOW))
    letter = Letter(1, 1, 1, topics.up(TENANT, stranger, Up.RECORD), office.record(1).message, NOW)
    office.clerk.take([letter])
    assert office.faults() == [Fault.WRONG_DEVICE]
    assert office.count(RecordRow) == 0


def test_a_fault_of_ours_keeps_the_bytes_and_says_nothing_to_the_device(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    message = office.record(1).message

    def broken(*_: object) -> rules.Applied:
        raise KeyError("a bug")

    with monkeypatch.context() as patch:
        patch.setattr(rules, "apply", broken)
        assert office.take(message) == []
    assert office.faults() == [Fault.INTERNAL]
    (receipt,) = office.take(message)
    assert [ruling.seq for ruling in receipt.rulings] == [1], "after the repair it is accepted"


def test_what_a_device_says_of_itself_is_taken_and_nonsense_is_quarantined(office: Office) -> None:
    birth = Birth(boot=1, version="0.1.0", site=SITE, epoch=EPOCH, last_seq=0, last_digest=GENESIS)
    office.take(birth.model_dump_json().encode(), what=Up.BIRTH)
    online = DeviceState(boot=1, link=Link.ONLINE).model_dump_json().encode()
    office.take(online, b"{", what=Up.STATE)
    with office.database.read() as session:
        status = session.get_one(DeviceStatus, DEVICE)
        assert (status.link, status.version) == (Link.ONLINE, "0.1.0")
    assert office.faults() == [Fault.BAD_CONTENT]


def test_a_locked_database_applies_nothing_and_the_batch_can_be_tried_again(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path / 'registry.db'}"
    database = Database(url, Vault(bytes(32)), busy_s=0.05)
    migrate(database.engine)
    with database.write() as session:
        session.add(Site(id=SITE, name=SITE, created_at=NOW))
        session.flush()
        session.add(Device(id=DEVICE, site_id=SITE, serial="", enrolled_at=NOW))
    key = OKPKey.generate_key("Ed25519")
    clerk = Clerk(database, RuleBook.of(RuleSettings()), tenant=TENANT, registry_key=key, receipt_key=key, now=lambda: NOW)
    letter = Letter(1, 1, 1, topics.up(TENANT, DEVICE, Up.RECORD), b"noise", NOW)
    other = sqlite3.connect(tmp_path / "registry.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(OperationalError):
        clerk.take([letter])
    other.execute("ROLLBACK")
    other.close()
    assert len(clerk.take([letter])) == 1
    with database.read() as session:
        assert session.scalars(select(DeviceSeen)).all() == []
        assert session.scalars(select(Quarantine.times)).one() == 1
    database.close()

"""A small world for tests of the sync agent: a site, its device with a record key, invented people, and their records."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from joserfc.jwk import OKPKey
from sqlalchemy.orm import Session
from uuid_utils import uuid7

from sync_agent.contract import envelope
from sync_agent.contract.envelope import GENESIS, Place, Record
from sync_agent.contract.kinds import (
    Attendance,
    Capture,
    CardFacts,
    CardHolder,
    CardKind,
    Case,
    Cause,
    Comparison,
    Consent,
    Direction,
    Finding,
    Health,
    Liveness,
    Method,
    Outcome,
    PartHealth,
    PartState,
    PersonReference,
    Provenance,
    Verification,
)
from sync_agent.contract.parts import Facts, Part
from sync_agent.contract.topics import DeviceId, Tenant, shard
from sync_agent.registry import rules
from sync_agent.registry.database import Database
from sync_agent.registry.rules import Applied, RuleBook
from sync_agent.registry.tables import Device, DeviceKey, LibraryStatus, Person, Personnel, RecordRow, Site
from system.simulate.people import PEOPLE

NOW: Final = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)
SITE: Final = "site-7"
DEVICE: Final = DeviceId("kiosk-1")
TENANT: Final = Tenant("xz")
EPOCH: Final = "00000000000000aa"
BOOK: Final = RuleBook(review=timedelta(hours=72), zone=ZoneInfo("Asia/Shanghai"))

SIGNING: Final = OKPKey.generate_key("Ed25519")
REGISTRY: Final = OKPKey.generate_key("X25519")


def holder(who: str, **other: object) -> CardHolder:
    """Return what stands on the card of one of the invented people, changed where asked."""
    person = PEOPLE[who]
    until = None if person.valid_until == "长期" else _day(person.valid_until)
    card = CardHolder(
        name=person.name,
        number=person.number,
        sex=person.sex,
        birth=_day(person.birth),
        address=person.address,
        issuer=person.issuer,
        valid_from=_day(person.valid_from),
        valid_until=until,
    )
    return CardHolder.model_validate(card.model_dump() | other)


def card(*findings: Finding, provenance: Provenance = Provenance.SAM_VERIFIED) -> CardFacts:
    """Return how a resident card was read."""
    return CardFacts(kind=CardKind.RESIDENT, provenance=provenance, reader_module="SAM-TEST-1", findings=findings)


def comparison(outcome: Outcome, distance: float | None) -> Comparison:
    """Return one look at a face, accepted up to 0.5."""
    return Comparison(
        outcome=outcome,
        distance=distance,
        accept_at=0.5,
        review_at=0.6,
        pack="dlib",
        pack_sha256="ab" * 32,
        liveness=Liveness.NOT_RUN,
        frames=3,
    )


def verification(
    outcome: Outcome = Outcome.MATCH,
    *,
    distance: float | None = 0.3,
    method: Method = Method.FACE,
    consents: bool = True,
    site: str = SITE,
    read: CardFacts | None = None,
) -> Verification:
    """Return a comparison of person and card that ended in `outcome`."""
    return Verification(
        site=site,
        card=read or card(),
        consent=Consent(notice="1", compare=consents, keep_photo=False, at=NOW),
        method=method,
        outcome=outcome,
        comparisons=(comparison(outcome, distance),) if method is Method.FACE else (),
    )


def capture(*findings: Finding, site: str = SITE) -> Capture:
    """Return the reading of a card."""
    return Capture(site=site, card=card(*findings))


def attendance(direction: Direction = Direction.ENTER, site: str = SITE) -> Attendance:
    """Return a passage of the gate."""
    return Attendance(site=site, direction=direction, method=Method.FACE)


def case(site: str = SITE) -> Case:
    """Return a call for help."""
    return Case(site=site, step="face", cause=Cause.HELP)


def health(**parts: PartState) -> Health:
    """Return a self-test."""
    return Health(
        version="0.1.0",
        parts={
            name: PartHealth(state=state, code="" if state is PartState.WELL else f"{name.upper()}-01", since=NOW)
            for name, state in parts.items()
        },
    )


def reference(who: str) -> PersonReference:
    """Return one of the invented people by number."""
    return PersonReference(number=PEOPLE[who].number)


class World:
    """A registry with a site and a device; `happens` makes a signed record of something and has the rules decide."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self._seq = 0
        with database.write() as session:
            session.add(Site(id=SITE, name=SITE, created_at=NOW))
            session.flush()
            self.enrol(session, DEVICE, SIGNING)

    def enrol(self, session: Session, device: DeviceId, key: OKPKey, site: str = SITE) -> None:
        """Let a device in."""
        session.add(Device(id=device, site_id=site, serial="0", enrolled_at=NOW))
        session.flush()
        session.add(DeviceKey(kid=key.thumbprint(), device_id=device, public_key=key.as_dict(private=False), valid_from=NOW))
        session.flush()

    def expect(self, who: str, status: LibraryStatus = LibraryStatus.ADDED) -> None:
        """Put one of the invented people on the roster."""
        person = PEOPLE[who]
        with self.database.write() as session:
            row = Person(number=person.number, name=person.name, created_at=NOW)
            session.add(row)
            session.flush()
            since = NOW - timedelta(days=1) if status is LibraryStatus.IN_LIBRARY else None
            session.add(Personnel(site_id=SITE, person_id=row.id, status=status, effective_from=since, changed_at=NOW))

    def record(self, facts: Facts, personal: Part | None, time: datetime = NOW) -> tuple[Record, bytes]:
        """Return a signed record as the check hands it on, and its bytes."""
        self._seq += 1
        signed = envelope.write(
            facts,
            personal,
            record_id=str(uuid7()),
            source=(TENANT, DEVICE),
            time=time,
            place=Place(EPOCH, self._seq, GENESIS),
            boot=1,
            clock_age_s=5,
            signing_key=SIGNING,
            registry_key=REGISTRY,
        )
        return envelope.read(signed.message, SIGNING, TENANT, DEVICE), signed.message

    def happens(
        self, facts: Facts, personal: Part | None = None, *, time: datetime = NOW, now: datetime | None = None
    ) -> Applied:
        """Let something happen at the kiosk and reach the ledger."""
        record, message = self.record(facts, personal, time)
        with self.database.write() as session:
            return self.enter(session, record, message, now or time)

    def enter(self, session: Session, record: Record, message: bytes, now: datetime) -> Applied:
        """Have the rules decide about a record, and add it to the ledger as ingest does."""
        applied = rules.apply(session, record, record.personal(REGISTRY), BOOK, now)
        event = record.event
        session.add(
            RecordRow(
                id=event.id,
                device_id=DEVICE,
                shard=shard(DEVICE),
                epoch=event.epoch,
                seq=event.seq,
                digest=record.digest,
                prev=event.prev,
                boot=event.boot,
                kind=event.kind,
                time=event.time,
                clock_age_s=event.clockage,
                received_at=now,
                kid=SIGNING.thumbprint(),
                message=message,
                site_id=applied.site_id,
                person_id=applied.person_id,
                standing=applied.standing,
                code=applied.code,
                effective_from=applied.effective_from,
                case_number=applied.case_number,
            )
        )
        return applied


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:8]))

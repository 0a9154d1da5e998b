"""An enterprise's personnel in the small world: somebody is added, synced, captured, compared and chosen."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import select

from sync_agent.contract.kinds import Capture, Outcome, Purpose, Verification
from sync_agent.contract.requests import CertificateEntry, EmploymentKind, PersonEntry
from sync_agent.registry.rules import Applied, library_rows, locks_rows, synced_rows
from sync_agent.registry.rules.library import Employed
from sync_agent.registry.rules.locks import Happened, TenderEvent
from sync_agent.registry.rules.locks_rows import Named, Tender
from sync_agent.registry.rules.synced_rows import Reported, ReportedPaper, Synced, SyncedKind
from sync_agent.registry.tables import AbnormalCode, AbnormalFlag, Account, BidLock, Employment, Enterprise, Person, Region
from system.simulate.people import PEOPLE
from tests.sync_agent.registry.rules.office import USCC, Office, attachment, picture
from tests.sync_agent.world import BOOK, NOW, SITE, World, card, comparison, holder, verification

RIVAL: Final = "91540100MA6T1TEST2"
ZONE: Final = BOOK.zone
TODAY: Final = NOW.astimezone(ZONE).date()
TITLE: Final = CertificateEntry(family="title", number="T-1", valid_until=date(2030, 1, 1))


def entry(who: str = "wang", kind: EmploymentKind = EmploymentKind.TITLED, **other: object) -> PersonEntry:
    """Return how somebody is typed in."""
    papers = (TITLE,) if kind is EmploymentKind.TITLED else ()
    values = {"name": PEOPLE[who].name, "number": PEOPLE[who].number, "employment": kind, "certificates": papers}
    return PersonEntry.model_validate(values | other)


def reported(who: str, family: str = "practice", until: date | None = date(2030, 1, 1)) -> Reported:
    """Return how a source reports somebody."""
    return Reported(PEOPLE[who].number, PEOPLE[who].name, papers=(ReportedPaper(family, f"N-{who}", valid_until=until),))


def named(who: str) -> Named:
    """Return how a tender names somebody."""
    return Named(PEOPLE[who].number, PEOPLE[who].name)


class Crew:
    """The personnel of one enterprise, and of another one that may want the same people."""

    def __init__(self, world: World, region: Region = Region.OUT) -> None:
        self.world = world
        self.office = Office(world, region)
        with world.database.write() as session:
            rival = Enterprise(uscc=RIVAL, name="x", region=Region.IN, source="four_db", created_at=NOW, changed_at=NOW)
            session.add(rival)
            session.flush()
            session.add(Account(id="a-2", uscc=RIVAL, assurance="high", asserted_at=NOW))

    def adds(self, body: PersonEntry, role: str = "certificate") -> Applied:
        """Add somebody by hand, with a picture of the certificate."""
        content = picture()
        self.office.sends(content)
        return self.office.asks(body, attachment(content, role))

    def captures(self, who: str, reference: str = "", at: datetime = NOW) -> Applied:
        facts = Capture(site=SITE, purpose=Purpose.PERSONNEL, enterprise=USCC, person=reference, card=card())
        return self.world.happens(facts, holder(who), time=at)

    def compares(
        self, who: str, outcome: Outcome = Outcome.MATCH, *, tries: int = 1, reference: str = "", at: datetime = NOW
    ) -> Applied:
        return self.world.happens(personnel(outcome, tries=tries, reference=reference), holder(who), time=at)

    def enters(self, who: str) -> None:
        """Bring somebody into the library."""
        assert self.captures(who).code is None
        assert self.compares(who).effective_from is not None

    def syncs(
        self,
        *people: Reported,
        kind: SyncedKind = EmploymentKind.REGISTERED,
        uscc: str = USCC,
        as_of: datetime = NOW,
        is_whole: bool = True,
    ) -> Synced:
        with self.world.database.write() as session:
            return synced_rows.take(session, uscc, kind, people, as_of=as_of, is_whole=is_whole, now=as_of, zone=ZONE)

    def hears(self, kind: Happened, *people: str, tender: str = "t-1", at: datetime = NOW, last: date | None = None) -> int:
        """Take an event of a tender."""
        bid = Tender(tender, USCC, "某路段施工", tuple(named(who) for who in people))
        with self.world.database.write() as session:
            return locks_rows.take(session, bid, TenderEvent(kind, at, last), at, ZONE)

    def locks(self) -> list[BidLock]:
        with self.world.database.read() as session:
            return list(session.scalars(select(BidLock).order_by(BidLock.id)))

    def people(self, now: datetime = NOW, uscc: str = USCC) -> tuple[Employed, ...]:
        with self.world.database.read() as session:
            return library_rows.people(session, uscc, now, ZONE)

    def one(self, now: datetime = NOW, uscc: str = USCC) -> Employed:
        (post,) = self.people(now, uscc)
        return post

    def rows(self) -> list[Employment]:
        with self.world.database.read() as session:
            return list(session.scalars(select(Employment).order_by(Employment.id)))

    def person(self, who: str) -> int:
        with self.world.database.read() as session:
            return session.scalars(select(Person.id).where(Person.has_number(PEOPLE[who].number))).one()

    def open_flags(self) -> set[tuple[str, AbnormalCode]]:
        with self.world.database.read() as session:
            flags = session.scalars(select(AbnormalFlag).where(AbnormalFlag.cleared_at.is_(None)))
            return {(flag.uscc, flag.code) for flag in flags}


def personnel(outcome: Outcome = Outcome.MATCH, *, tries: int = 1, reference: str = "") -> Verification:
    """Return a comparison of somebody of the personnel."""
    distance = 0.3 if outcome is Outcome.MATCH else 0.9
    looks = (comparison(outcome, distance),) * tries
    about = {"purpose": Purpose.PERSONNEL, "enterprise": USCC, "person": reference, "comparisons": looks}
    return verification(outcome, distance=distance).model_copy(update=about)


def days(count: int) -> timedelta:
    return timedelta(days=count)

"""Loads and writes for an enterprise's personnel: added by hand, captured, verified, reviewed, gone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.contract.kinds import Capture, CardHolder, Verification
from sync_agent.contract.requests import CertificateEntry, EmploymentKind, PersonEntry
from sync_agent.registry.database import insert_absent
from sync_agent.registry.rules import firm_rows, flags_rows, library_rows, locks_rows, requests_rows, tickets_rows
from sync_agent.registry.rules import personnel as rule
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.enterprises import FAILS
from sync_agent.registry.rules.firm import Firm
from sync_agent.registry.rules.library import Employed
from sync_agent.registry.rules.personnel import MANUAL, AddPost, Known, MovePost, Place
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import (
    AuditEvent,
    CaseState,
    Certificate,
    Employment,
    LibraryStatus,
    Person,
    ReviewCase,
)


def capture(work: Work) -> Decision:
    """S49: the card of somebody of an enterprise's personnel was read."""
    facts = work.facts(Capture)
    firm, place = _before(work, facts.enterprise, facts.person)
    return work.settle(rule.capture(firm, place, facts, work.sealed(CardHolder), work.on), lambda change: _move(work, change))


def verify(work: Work) -> Decision:
    """S15, S48, S49: somebody of an enterprise's personnel was compared with their card."""
    facts = work.facts(Verification)
    firm, place = _before(work, facts.enterprise, facts.person)
    work.keep_verification()
    ticket = tickets_rows.use(work)
    decision = rule.verify(firm, place, ticket, facts, work.sealed(CardHolder), work.on, work.now)
    return work.settle(decision, lambda change: _move(work, change))


def add(work: Work) -> Decision:
    """S46, S47: an enterprise adds somebody by hand."""
    asked = requests_rows.receive(work, PersonEntry)
    if isinstance(asked, Decision):
        return work.settle(asked)
    entry, firm = asked.body, asked.firm
    person = work.rows.person(entry.number)
    roles = [whole.attachment.role for whole in asked.wholes]
    decision = rule.add(firm, entry, _known(work, firm, entry, person), asked.lacks, roles, work.on)

    def write(change: Change) -> None:
        assert isinstance(change, AddPost)
        work.person = _named(work, entry)
        begin(work.session, firm.uscc, work.person.id, entry.employment, change.status, MANUAL, entry.work_type, work.now)
        for paper in entry.certificates:
            _keep_entry(work.session, work.person.id, paper, work.now)

    return requests_rows.settle(work, asked, decision, write)


def reviewed(session: Session, case: ReviewCase, *, is_approved: bool, now: datetime, zone: ZoneInfo) -> None:
    """S15: write what a person's decision of a case about somebody's card or face makes of them; the case itself is the caller's.

    Args:
        session: a write transaction; the enterprise's row is locked.
        case: about a person of an enterprise.
        is_approved: person and card belong together.
        now: the time.
        zone: whose days count.

    Raises:
        ValueError: the case is about nobody, or about no enterprise.
    """
    if case.uscc is None or case.person_id is None:
        raise ValueError("this case is about nobody of an enterprise's personnel")
    place = Place(library_rows.posts(session, case.uscc, case.person_id, now, zone))
    for change in rule.review(place, now, is_approved=is_approved):
        move(session, change, now)


def leave(session: Session, employment: int, actor: str, now: datetime, zone: ZoneInfo) -> Code | None:
    """4.5, S53: take somebody out of an enterprise's personnel; audited.

    Returns:
        Why they stay; None: they left.
    """
    row = session.get_one(Employment, employment)
    session.execute(select(Person.id).where(Person.id == row.person_id).with_for_update())
    (post,) = (post for post in library_rows.posts(session, row.uscc, row.person_id, now, zone) if post.id == employment)
    change = rule.leave(post)
    if isinstance(change, Code):
        return change
    move(session, change, now)
    session.add(AuditEvent(at=now, actor=actor, action="personnel.leave", subject=f"employment {employment}"))
    return None


def begin(
    session: Session,
    uscc: str,
    person: int,
    kind: EmploymentKind,
    status: LibraryStatus,
    source: str,
    work_type: str,
    at: datetime,
) -> None:
    """Have an employment begin, for the first time or again; who comes back starts as somebody new.

    Args:
        session: a write transaction; the enterprise's row is locked, and the person's.
        uscc: the enterprise.
        person: the registry's reference.
        kind: as what.
        status: in which state it begins.
        source: a connector's name, or `MANUAL`.
        work_type: domain.md 10.4; may be empty.
        at: when its source said so.
    """
    key = {"uscc": uscc, "person_id": person, "kind": kind}
    values = {"source": source, "status": status, "work_type": work_type, "seen_at": at, "changed_at": at}
    if insert_absent(session, Employment, key | values):
        return
    row = session.scalars(select(Employment).filter_by(**key).with_for_update()).one()
    row.source, row.status, row.work_type, row.seen_at, row.changed_at = source, status, work_type, at, at
    row.fails, row.in_library_at = 0, None
    session.flush()


def move(session: Session, change: MovePost, now: datetime) -> Employment:
    """Write that an employment moves on; who enters the library is looked at for other employers (S51)."""
    row = session.get_one(Employment, change.id)
    row.status, row.fails, row.in_library_at, row.changed_at = change.status, change.fails, change.since, now
    if change.status is LibraryStatus.IN_LIBRARY:
        flags_rows.flag_employers(session, [row.person_id], now)
    return row


def _before(work: Work, uscc: str | None, reference: str) -> tuple[Firm | None, Place]:
    """Return the enterprise that a card was read for, and the place of the card's holder in it."""
    firm = None if uscc is None else firm_rows.load(work, uscc)
    person = work.about()
    if firm is None or person is None:
        return firm, Place(())
    work.session.flush()
    posts = library_rows.posts(work.session, firm.uscc, person.id, work.now, work.book.zone)
    place = Place(posts, is_under_review=_is_under_review(work.session, firm.uscc, person, posts))
    if not reference:
        return firm, place
    named = work.session.get(Employment, int(reference)) if reference.isascii() and reference.isdecimal() else None
    if named is None or named.uscc != firm.uscc or named.status is LibraryStatus.LEFT:
        return firm, Place(posts, expected=False)
    return firm, Place(posts, is_expected=named.person_id == person.id, is_under_review=place.is_under_review)


def _is_under_review(session: Session, uscc: str, person: Person, posts: tuple[Employed, ...]) -> bool:
    if any(post.fails >= FAILS for post in posts if post.status is LibraryStatus.CAPTURED):
        return True
    asked = select(ReviewCase.id).where(
        ReviewCase.person_id == person.id, ReviewCase.uscc == uscc, ReviewCase.state == CaseState.OPEN
    )
    return session.scalar(asked.where(ReviewCase.kind.in_(rule.HOLDING)).limit(1)) is not None


def _move(work: Work, change: Change) -> None:
    if not isinstance(change, MovePost):
        raise TypeError(f"nobody here writes a {type(change).__name__}")
    move(work.session, change, work.now)


def _known(work: Work, firm: Firm, entry: PersonEntry, person: Person | None) -> Known:
    if person is None:
        return Known()
    posts = library_rows.posts(work.session, firm.uscc, person.id, work.now, work.book.zone)
    post = next((post for post in posts if post.kind is entry.employment), None)
    is_locked = bool(locks_rows.locked(work.session, [person.id], work.now, work.book.zone))
    return Known(person.name if person.card_at is not None else "", post, is_locked)


def _named(work: Work, entry: PersonEntry) -> Person:
    """Return the person who is added; somebody new is remembered by name and number alone."""
    values = {"number_index": entry.number, "number": entry.number, "name": entry.name, "created_at": work.now}
    insert_absent(work.session, Person, values)
    person = work.rows.person(entry.number)
    if person is None:
        raise LookupError("a person who was just inserted is not there")
    return person


def _keep_entry(session: Session, person: int, paper: CertificateEntry, now: datetime) -> None:
    """Keep a certificate that somebody typed in; one that is there already, by its number, stays as it is."""
    values = paper.model_dump(exclude={"number"})
    values |= {"person_id": person, "number": paper.number, "number_index": paper.number, "source": MANUAL, "changed_at": now}
    insert_absent(session, Certificate, values)

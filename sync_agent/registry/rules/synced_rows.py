"""Takes in the people whom a source reports of an enterprise: registered people (S44) and post people (S45).

For the connectors. The natural key is enterprise, identity number and kind: the same report again changes nothing. Post
people whom the training centre did not report successfully are not in its report, so they do not appear.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Literal
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.contract.requests import EmploymentKind
from sync_agent.registry.database import insert_absent
from sync_agent.registry.rules import flags_rows, library_rows, personnel_rows
from sync_agent.registry.rules import personnel as rule
from sync_agent.registry.rules.flags import CannotClear
from sync_agent.registry.rules.personnel import SYNCED_FROM, TRAINING_CENTRE, AddPost
from sync_agent.registry.tables import Certificate, CertificateStatus, Employment, Enterprise, LibraryStatus, Person

log = structlog.get_logger(__name__)

SyncedKind = Literal[EmploymentKind.REGISTERED, EmploymentKind.POST]


@dataclass(frozen=True, slots=True)
class ReportedPaper:
    """A certificate as its source has it, in our own words (domain.md 10.5)."""

    family: str
    number: str = field(repr=False)
    specialty: str = ""
    level: str = ""
    issuer: str = ""
    valid_from: date | None = None
    valid_until: date | None = None
    status: CertificateStatus = CertificateStatus.VALID


@dataclass(frozen=True, slots=True)
class Reported:
    """Somebody whom a source reports."""

    number: str = field(repr=False)
    name: str = field(repr=False)
    work_type: str = ""
    papers: tuple[ReportedPaper, ...] = ()


@dataclass(frozen=True, slots=True)
class Synced:
    """What came of a report.

    Attributes:
        added: came, or came back.
        kept: were there.
        left: are not reported any more.
        held: are not reported any more and stay because a bid locks them (S53); the next report is asked again.
        refused: places in the report of those whose number cannot be one.
        is_stale: a newer report was taken before; nothing was changed.
    """

    added: int = 0
    kept: int = 0
    left: int = 0
    held: int = 0
    refused: tuple[int, ...] = ()
    is_stale: bool = False


def take(
    session: Session,
    uscc: str,
    kind: SyncedKind,
    people: Iterable[Reported],
    *,
    as_of: datetime,
    is_whole: bool,
    now: datetime,
    zone: ZoneInfo,
) -> Synced:
    """S44, S45: take in whom the source of a kind reports of an enterprise.

    Args:
        session: a write transaction.
        uscc: whose people; the registry knows it.
        kind: as what; who the source is follows from it.
        people: whom it reports.
        as_of: of when the report is, by its source.
        is_whole: it names everybody, so that who is not named left; otherwise nobody leaves by it.
        now: the time.
        zone: whose days count.

    Raises:
        NoResultFound: no such enterprise.
    """
    source = SYNCED_FROM[kind]
    session.get_one(Enterprise, uscc, with_for_update=True)
    named = list(people)
    wrong = tuple(place for place, one in enumerate(named) if not rule.is_number(one.number) or not one.name.strip())
    good = {one.number: one for place, one in enumerate(named) if place not in wrong}
    ids = _people(session, good, now)
    asked = select(Employment.seen_at).where(Employment.uscc == uscc, Employment.kind == kind)
    if any(seen > as_of for seen in session.scalars(asked)):
        log.info("people.stale", source=source)
        return Synced(refused=wrong, is_stale=True)
    rows = _rows(session, uscc, kind)
    posts = {post.id: post for post in library_rows.of_rows(session, uscc, rows.values(), now, zone)}
    added = []
    for number, one in good.items():
        person = ids[number]
        row = rows.get(person)
        match rule.report(None if row is None else posts[row.id]):
            case AddPost(status=status):
                personnel_rows.begin(session, uscc, person, kind, status, source, one.work_type, as_of)
                added.append(person)
            case _ if row is not None:
                row.seen_at, row.work_type = as_of, one.work_type or row.work_type
        for paper in one.papers:
            _keep(session, person, paper, source, now)
    left = held = 0
    for person, row in rows.items() if is_whole else ():
        if person in ids.values() or row.status is LibraryStatus.LEFT:
            continue
        change = rule.leave(posts[row.id])
        if isinstance(change, Code):
            held += 1
            continue
        personnel_rows.move(session, change, now).seen_at = as_of
        left += 1
    flags_rows.flag_employers(session, added, now)
    session.flush()
    result = Synced(len(added), len(good) - len(added), left, held, wrong)
    log.info("people.synced", source=source, added=result.added, kept=result.kept, left=left, held=held, refused=len(wrong))
    return result


def transfer(session: Session, number: str, from_uscc: str, by: str, now: datetime, zone: ZoneInfo) -> Code | None:
    """S51: follow the training centre's transfer notice: the person leaves the old employer, and the flags go, at both.

    Args:
        session: a write transaction.
        number: whose notice it is.
        from_uscc: the employer whom they leave.
        by: who says so.
        now: the time.
        zone: whose days count.

    Returns:
        Why it cannot be followed yet, the connector tries again: `PERSON_BID_LOCKED` (S53), or `PERSON_NOT_EXPECTED`: the
        registry does not know them. None: it was followed, now or before.

    Raises:
        CannotClear: it does not come from the training centre.
    """
    if by != TRAINING_CENTRE:
        raise CannotClear("only the training centre's notice moves somebody from one enterprise to another.")
    session.get(Enterprise, from_uscc, with_for_update=True)
    person = session.scalar(select(Person).where(Person.has_number(number)).with_for_update())
    if person is None:
        return Code.PERSON_NOT_EXPECTED
    posts = [
        post for post in library_rows.posts(session, from_uscc, person.id, now, zone) if post.status is not LibraryStatus.LEFT
    ]
    if any(post.is_locked for post in posts):
        return Code.PERSON_BID_LOCKED
    for post in posts:
        change = rule.leave(post)
        assert not isinstance(change, Code)
        personnel_rows.move(session, change, now).seen_at = now
    session.flush()
    flags_rows.clear_employers(session, person.id, by, now)
    flags_rows.flag_employers(session, [person.id], now)  # who still works for several stays flagged
    return None


def _people(session: Session, good: Mapping[str, Reported], now: datetime) -> dict[str, int]:
    """Return the registry's references of those reported, by number, their rows locked in one order."""
    for number in sorted(good):
        insert_absent(session, Person, {"number_index": number, "number": number, "name": good[number].name, "created_at": now})
    asked = select(Person).where(Person.number_index.in_(good)).order_by(Person.id).with_for_update()
    return {person.number: person.id for person in session.scalars(asked)}


def _rows(session: Session, uscc: str, kind: EmploymentKind) -> dict[int, Employment]:
    asked = select(Employment).where(Employment.uscc == uscc, Employment.kind == kind).order_by(Employment.id)
    locked = asked.with_for_update().execution_options(populate_existing=True)
    return {row.person_id: row for row in session.scalars(locked)}


def _keep(session: Session, person: int, paper: ReportedPaper, source: str, now: datetime) -> None:
    """Keep a certificate as its source has it; what was typed in by hand under the same number gives way."""
    values: dict[str, object] = {
        "specialty": paper.specialty,
        "level": paper.level,
        "issuer": paper.issuer,
        "valid_from": paper.valid_from,
        "valid_until": paper.valid_until,
        "status": paper.status,
        "source": source,
        "changed_at": now,
    }
    key = {"person_id": person, "family": paper.family, "number_index": paper.number}
    if insert_absent(session, Certificate, key | {"number": paper.number} | values):
        return
    row = session.scalars(select(Certificate).filter_by(**key)).one()
    for name, value in values.items():
        setattr(row, name, value)

"""Takes a site's roster in from a list made by hand: who is expected there (S46-S48)."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract import numbers
from sync_agent.registry.database import insert_absent
from sync_agent.registry.tables import AuditEvent, LibraryStatus, Person, Personnel, Site

log = structlog.get_logger(__name__)

COLUMNS: Final = ("name", "number")
MAX_LINES: Final = 100_000


class BadRoster(Exception):
    """A list that cannot be taken in; nothing of it was. Code ROS-01; the text names each line, never what stands on it."""

    code = "ROS-01"


@dataclass(frozen=True, slots=True)
class _Expected:
    name: str
    number: str


def import_people(session: Session, text: str, site: str, now: datetime) -> int:
    """Put everybody of a list on a site's roster; who is there already stays as they are.

    Args:
        session: a write transaction.
        text: CSV with a header and the columns `COLUMNS`, in any order.
        site: whose roster; made where it is new.
        now: the time.

    Returns:
        How many people the list names.

    Raises:
        BadRoster: a line cannot be taken; every such line is named.
    """
    expected = _read(text)
    insert_absent(session, Site, {"id": site, "name": site, "created_at": now})
    added = sum(_expect(session, each, site, now) for each in expected)
    session.add(AuditEvent(at=now, actor="command-line", action="roster.import", subject=site))
    session.flush()
    log.info("roster.imported", site=site, people=len(expected), added=added)
    return len(expected)


def number_fault(number: str) -> str | None:
    """Say what is wrong with an identity number, or None.

    18 characters with their check character (GB 11643; ISO 7064 MOD 11-2), or the 15 of foreign residents' cards before 2023-12.
    """
    if numbers.is_former_foreign_number(number):
        return None
    if not numbers.is_identity_number(number):
        return "the number does not have 18 digits (the last may be X)"
    if number[17] != numbers.check_character(number[:17]):
        return "the number's check character does not fit; a digit is wrong"
    return None


def _read(text: str) -> list[_Expected]:
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")))
    header = [(name or "").strip().lower() for name in reader.fieldnames or []]
    if set(header) != set(COLUMNS):
        raise BadRoster(f"line 1: the columns must be {' and '.join(COLUMNS)}, separated by a comma")
    reader.fieldnames = header
    people: list[_Expected] = []
    faults: list[str] = []
    first_on: dict[str, int] = {}
    for row in reader:
        line = reader.line_num
        if len(people) + len(faults) >= MAX_LINES:
            raise BadRoster(f"line {line}: a list may name {MAX_LINES} people. Divide it.")
        name = unicodedata.normalize("NFC", str(row["name"] or "")).strip()
        number = re.sub(r"\s", "", unicodedata.normalize("NFKC", str(row["number"] or ""))).upper()
        if not name or len(name) > 64:
            faults.append(f"line {line}: the name is missing or longer than 64 characters")
        elif fault := number_fault(number):
            faults.append(f"line {line}: {fault}")
        elif number in first_on:
            faults.append(f"line {line}: the same number stands on line {first_on[number]}")
        else:
            people.append(_Expected(name, number))
        first_on.setdefault(number, line)
    if faults:
        raise BadRoster("nothing was taken in:\n" + "\n".join(f"  {fault}" for fault in faults))
    return people


def _expect(session: Session, each: _Expected, site: str, now: datetime) -> bool:
    """Put one person on the roster; return whether they were not there."""
    number = {"number_index": each.number, "number": each.number}
    insert_absent(session, Person, {**number, "name": each.name, "created_at": now})
    person = session.scalars(select(Person).where(Person.has_number(each.number))).one()
    is_new = insert_absent(
        session, Personnel, {"site_id": site, "person_id": person.id, "status": LibraryStatus.ADDED, "changed_at": now}
    )
    if is_new:
        return True
    asked = select(Personnel).where(Personnel.site_id == site, Personnel.person_id == person.id).with_for_update()
    place = session.scalars(asked).one()
    if place.status is LibraryStatus.LEFT:  # who comes back proves who they are again
        place.status, place.effective_from, place.changed_at = LibraryStatus.ADDED, None, now
        return True
    return False

"""Takes in what the government-services portal asserts: the one way that an account, and by it an enterprise, begins (S03)."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.registry.database import insert_absent
from sync_agent.registry.rules import accounts, firm_rows
from sync_agent.registry.rules.accounts import Admission, Assertion, Known, Named
from sync_agent.registry.rules.regions import region
from sync_agent.registry.tables import Account, AuditEvent, Enterprise, LegalRepStatus, Person

PORTAL: Final = "gov-network"
"""Source of the enterprises that the portal names first."""


def admit(session: Session, assertion: Assertion, now: datetime) -> Admission:
    """S03, S04, S16: take in an assertion of the portal; for its connector. The same again changes only when it was made.

    What does not fit changes nothing, and is noted with its cause for staff.

    Args:
        session: a write transaction.
        assertion: what the portal says.
        now: the time.
    """
    row = session.get(Enterprise, assertion.uscc, with_for_update=True)
    firm = None if row is None else firm_rows.of(session, row)
    operator = person_named(session, assertion.operator, now) if row is not None else None
    admission = accounts.admit(firm, _known(session, assertion, operator), assertion)
    if admission.code is not None:
        session.add(AuditEvent(at=now, actor=PORTAL, action="account.refused", subject=f"{admission.code}:{admission.cause}"))
        return admission
    if row is None and _begin(session, assertion, now):
        row = session.get_one(Enterprise, assertion.uscc)
    elif row is None:
        return admit(session, assertion, now)  # another one brought it into being at this moment
    operator = operator or person_named(session, assertion.operator, now)
    _complete(session, row, assertion, now)
    insert_absent(session, Account, {"id": assertion.account, "uscc": row.uscc, "assurance": "", "asserted_at": now})
    account = session.get_one(Account, assertion.account, with_for_update=True)
    if account.uscc != row.uscc:
        return Admission(Code.ACCOUNT_ABNORMAL, "account-uscc")
    account.assurance, account.asserted_at = assertion.assurance, now
    account.person_id = operator.id if operator is not None else account.person_id
    return admission


def person_named(session: Session, named: Named, now: datetime) -> Person | None:
    """Return the person whom an upstream system names, remembered from now on; None where it gives no number."""
    if not named.number:
        return None
    insert_absent(
        session,
        Person,
        {"number_index": named.number, "number": named.number, "name": named.name, "created_at": now},
    )
    return session.scalars(select(Person).where(Person.has_number(named.number)).with_for_update()).one()


def _known(session: Session, assertion: Assertion, operator: Person | None) -> Known:
    account = session.get(Account, assertion.account)
    doubles = select(Account.id).where(Account.uscc == assertion.uscc, Account.id != assertion.account)
    has_double = operator is not None and session.scalars(doubles.where(Account.person_id == operator.id)).first() is not None
    if account is None:
        return Known(has_double=has_double)
    return Known(account.uscc, account.frozen_at is not None, has_double)


def _begin(session: Session, assertion: Assertion, now: datetime) -> bool:
    """Bring an enterprise into being; False: somebody did."""
    values = {
        "uscc": assertion.uscc,
        "name": assertion.name,
        "division": assertion.division,
        "region": region(assertion.division, assertion.uscc),
        "region_reason": "",
        "legal_rep_status": LegalRepStatus.NOT_CAPTURED,
        "legal_rep_is_named": False,
        "legal_rep_fails": 0,
        "activity_kinds": [],
        "profile": 0,
        "source": PORTAL,
        "created_at": now,
        "changed_at": now,
    }
    return insert_absent(session, Enterprise, values)


def _complete(session: Session, row: Enterprise, assertion: Assertion, now: datetime) -> None:
    """Fill in what the registry did not know; what it knows changes by the registration alone (S62)."""
    if not row.division and assertion.division:
        row.division, row.changed_at = assertion.division, now
        if not row.region_reason:
            row.region = region(row.division, row.uscc)
    if row.legal_rep_person_id is None:
        person = person_named(session, assertion.legal_rep, now)
        if person is not None:
            row.legal_rep_person_id, row.legal_rep_is_named, row.changed_at = person.id, True, now

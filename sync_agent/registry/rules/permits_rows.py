"""Loads and writes for safety permits, and the duty that warns of their end."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import exists, select
from sqlalchemy.orm import Session, aliased

from sync_agent.contract.kinds import Request
from sync_agent.contract.requests import SafetyPermitEntry
from sync_agent.registry.database import insert_absent
from sync_agent.registry.rules import documents, requests_rows
from sync_agent.registry.rules import permits as rule
from sync_agent.registry.rules.decision import Change, Decision
from sync_agent.registry.rules.licences import OWN
from sync_agent.registry.rules.permits import Permit
from sync_agent.registry.rules.work import Work
from sync_agent.registry.tables import AdminNotice, NoticeKind, SafetyPermit

log = structlog.get_logger(__name__)

_TITLE: Final = "safety-permit-ends"
"""What a notice of ours says, as a word that screens have texts for."""


def add(work: Work) -> Decision:
    """S43: an enterprise adds a permit."""
    asked = requests_rows.receive(work, SafetyPermitEntry)
    if isinstance(asked, Decision):
        return asked
    entry = asked.body
    lacks = [*asked.lacks, *documents.wanted(work.facts(Request).attachments, "permit")]

    def write(_: Change) -> None:
        work.session.add(
            SafetyPermit(
                uscc=asked.firm.uscc,
                number=entry.number,
                issuer=entry.issuer,
                valid_from=entry.valid_from,
                valid_until=entry.valid_until,
                record_id=work.record.event.id,
                source=OWN,
                warned=None,
                at=work.now,
            )
        )

    known = map(_permit, _of(work.session, asked.firm.uscc))
    return requests_rows.settle(work, asked, rule.add(known, entry, lacks, work.on, work.now), write)


def in_effect(session: Session, uscc: str, on: date) -> Permit | None:
    """S43: return the permit of an enterprise that is in effect on a day."""
    return rule.in_effect(map(_permit, _of(session, uscc)), on)


def warn(session: Session, zone: ZoneInfo, now: datetime) -> int:
    """S43: put a notice to the enterprise for each permit that comes to its end with none to follow it; return how many.

    Each of 90, 30 and 0 days before is noticed once, whoever asks how often; a permit that is followed by a later one is not.

    Args:
        session: a write transaction.
        zone: whose calendar day decides.
        now: the time.
    """
    on = now.astimezone(zone).date()
    later = aliased(SafetyPermit)
    follows = exists().where(later.uscc == SafetyPermit.uscc, later.valid_until > SafetyPermit.valid_until)
    is_near = SafetyPermit.valid_until <= on + timedelta(days=max(rule.WARN_DAYS))
    asked = select(SafetyPermit).where(is_near, ~follows).order_by(SafetyPermit.id).with_for_update()
    warned = 0
    for last in session.scalars(asked).all():
        days = rule.warning(last.valid_until, on, last.warned)
        if days is None:
            continue
        last.warned = days
        warned += insert_absent(
            session,
            AdminNotice,
            {
                "uscc": last.uscc,
                "kind": NoticeKind.OTHER,
                "title": _TITLE,
                "text": f"{last.number} {last.valid_until.isoformat()}",
                "issued": on,
                "issuer": "",
                "source": OWN,
                "key": f"permit-{last.id}-{days}",
            },
        )
        log.info("permit.ends", permit=last.id, days=days)
    return warned


def _of(session: Session, uscc: str) -> list[SafetyPermit]:
    session.flush()
    return list(session.scalars(select(SafetyPermit).where(SafetyPermit.uscc == uscc).order_by(SafetyPermit.id)))


def _permit(row: SafetyPermit) -> Permit:
    return Permit(row.number, row.valid_from, row.valid_until)

"""The virus check of documents: a command of the operator's, with a time limit, outside of any transaction.

Without a command every document stays marked as not scanned, which is what staff is shown.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from sync_agent.contract.codes import Code
from sync_agent.registry.database import Database
from sync_agent.registry.rules.applications import UNDER_WAY
from sync_agent.registry.rules.requests import Lack
from sync_agent.registry.tables import (
    ApplicationState,
    AuditEvent,
    CreditClaim,
    Document,
    MakeupRow,
    QualificationRequest,
    Scan,
    Submission,
)

log = structlog.get_logger(__name__)

INFECTED: Final = 1
"""Exit code by which `clamdscan` and its like say that they found something; 0 is clean, others are faults of their own."""

ACTOR: Final = "virus-check"


class ScanFailed(Exception):
    """The virus check did not come to an answer. Code SCAN-01: the document stays not scanned, and is tried again."""

    code = "SCAN-01"


def look(content: bytes, command: Sequence[str], limit_s: float) -> Scan:
    """Have the command look at a document, on its standard input.

    Args:
        content: the whole of it.
        command: program and arguments, for instance ``clamdscan --no-summary -``.
        limit_s: how long it may take, seconds.

    Raises:
        ScanFailed: it cannot be started, took too long, or did not come to an answer.
    """
    try:
        done = subprocess.run(command, input=content, capture_output=True, timeout=limit_s, check=False)
    except (OSError, subprocess.TimeoutExpired) as err:
        reason = (
            f"took longer than {limit_s:g} s" if isinstance(err, subprocess.TimeoutExpired) else f"cannot run: {err.strerror}"
        )
        raise ScanFailed(f"the virus check {command[0]!r} {reason}. Check that its service runs.") from err
    if done.returncode not in (0, INFECTED):
        raise ScanFailed(f"the virus check {command[0]!r} ended with {done.returncode}. Run it by hand to see why.")
    return Scan.INFECTED if done.returncode == INFECTED else Scan.CLEAN


def scan(database: Database, command: Sequence[str], limit_s: float, now: datetime) -> int:
    """Have every document looked at that was not yet; return how many were found infected.

    What is infected is deleted, and the application it belongs to goes back to the enterprise.

    Args:
        database: the registry.
        command: as for `look`; empty: none is configured, and nothing is looked at.
        limit_s: how long one document may take, seconds.
        now: the time.

    Raises:
        ScanFailed: at one of them; those before it are done.
    """
    if not command:
        return 0
    with database.read() as session:
        waiting = session.scalars(select(Document.id).where(Document.scan == Scan.NOT_SCANNED).order_by(Document.id)).all()
    infected = 0
    for document in waiting:
        with database.read() as session:
            content = session.scalars(select(Document.content).where(Document.id == document)).one()
        if content is None:
            continue
        found = look(content, command, limit_s)
        with database.write() as session:
            _note(session, document, found, now)
        infected += found is Scan.INFECTED
    return infected


def _note(session: Session, document: int, found: Scan, now: datetime) -> None:
    row = session.get_one(Document, document, with_for_update=True)
    row.scan = found
    if found is not Scan.INFECTED:
        return
    row.content = None
    log.error("document.infected", document=document, role=row.role)
    session.add(AuditEvent(at=now, actor=ACTOR, action="document.infected", subject=f"submission_document {document}"))
    reason = str(Lack(Code.ATTACHMENT_REFUSED, row.role))
    for kind in (Submission, QualificationRequest, MakeupRow, CreditClaim):
        waits = update(kind).where(kind.record_id == row.record_id, kind.state.in_(UNDER_WAY))
        session.execute(waits.values(state=ApplicationState.RETURNED, reason=reason, decided_at=now))

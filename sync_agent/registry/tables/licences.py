"""What an enterprise may do and asks to be allowed: qualifications, requests, submissions, permits (S19, S24-S28, S40-S43)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.contract.requests import EmploymentKind, QualificationAction
from sync_agent.registry.protect import Sealed, SealedText
from sync_agent.registry.tables.base import Base, Id, of_record, words


class Qualification(Base):
    """A qualification an enterprise holds (S40, S42)."""

    __tablename__ = "qualification"
    __table_args__ = (UniqueConstraint("uscc", "number"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    number: Mapped[str] = mapped_column(String(50))
    line: Mapped[str] = mapped_column(String(64), doc="By the table `qualification_line`.")
    grade: Mapped[str] = mapped_column(String(64), default="")
    issuer: Mapped[str] = mapped_column(String(200), default="")
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None]
    cancelled_at: Mapped[datetime | None]
    source: Mapped[str] = mapped_column(String(32), doc="`four_db`: read-only (S42).")
    changed_at: Mapped[datetime]


class QualificationLine(Base):
    """A line of qualification and its grades, as one vocabulary has it and while it has it (domain.md 10.7)."""

    __tablename__ = "qualification_line"

    line: Mapped[str] = mapped_column(String(64), primary_key=True)
    grade: Mapped[str] = mapped_column(String(64), primary_key=True, doc="Empty: without grades.")
    family: Mapped[str] = mapped_column(String(32), doc="General, specialised, labour, declared.")
    valid_from: Mapped[date]
    valid_until: Mapped[date | None]


class QualificationRequirement(Base):
    """How many people of which kind a line and grade wants in the library (S24); data of the operator, not code."""

    __tablename__ = "qualification_requirement"
    __table_args__ = (UniqueConstraint("line", "grade", "employment", "specialty"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    line: Mapped[str] = mapped_column(String(64))
    grade: Mapped[str] = mapped_column(String(64), default="")
    employment: Mapped[EmploymentKind] = mapped_column(words(EmploymentKind))
    specialty: Mapped[str] = mapped_column(String(64), default="", doc="Empty: any.")
    count: Mapped[int]


class ApplicationState(StrEnum):
    """How far something is that staff decides (domain.md 4.7)."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    IN_REVIEW = "in-review"
    ACCEPTED = "accepted"
    RETURNED = "returned"
    REJECTED = "rejected"


class QualificationRequest(Base):
    """A request about a qualification of an in-region enterprise (S41). One a record."""

    __tablename__ = "qualification_request"
    __table_args__ = (Index(None, "uscc", "state"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    record_id: Mapped[str] = mapped_column(of_record(), unique=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    action: Mapped[QualificationAction] = mapped_column(words(QualificationAction))
    line: Mapped[str] = mapped_column(String(64))
    grade: Mapped[str] = mapped_column(String(64), default="")
    content: Mapped[str] = mapped_column(SealedText("qualification_request.content"), doc="`QualificationEntry` as JSON.")
    state: Mapped[ApplicationState] = mapped_column(words(ApplicationState))
    reason: Mapped[str] = mapped_column(String(500), default="", doc="Why it was returned or rejected.")
    at: Mapped[datetime]
    decided_at: Mapped[datetime | None]


class Submission(Base):
    """A qualification submission (S19, S25). One a record."""

    __tablename__ = "qualification_submission"
    __table_args__ = (Index(None, "uscc", "state"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    record_id: Mapped[str] = mapped_column(of_record(), unique=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    line: Mapped[str] = mapped_column(String(64))
    grade: Mapped[str] = mapped_column(String(64), default="")
    technical_lead_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    state: Mapped[ApplicationState] = mapped_column(words(ApplicationState))
    reason: Mapped[str] = mapped_column(String(500), default="")
    at: Mapped[datetime]
    decided_at: Mapped[datetime | None]


class Scan(StrEnum):
    """What the virus check said of a document."""

    NOT_SCANNED = "not-scanned"
    """No check is configured, or it did not come to it yet."""
    CLEAN = "clean"
    INFECTED = "infected"


class Document(Base):
    """A document that belongs to a record, whole and checked; its bytes are sealed."""

    __tablename__ = "submission_document"
    __table_args__ = (UniqueConstraint("record_id", "digest"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    record_id: Mapped[str] = mapped_column(of_record())
    digest: Mapped[str] = mapped_column(String(64))
    role: Mapped[str] = mapped_column(String(64))
    media: Mapped[str] = mapped_column(String(32))
    content: Mapped[bytes | None] = mapped_column(Sealed("submission_document.content"), doc="None: found infected and deleted.")
    scan: Mapped[Scan] = mapped_column(words(Scan), default=Scan.NOT_SCANNED, index=True)
    at: Mapped[datetime]


class PieceRow(Base):
    """A piece of a document, until the record comes that names the whole; a week at most."""

    __tablename__ = "document_piece"
    __table_args__ = (Index(None, "device_id", "digest"), Index(None, "at"))

    record_id: Mapped[str] = mapped_column(of_record(), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"))
    digest: Mapped[str] = mapped_column(String(64), doc="Of the whole.")
    index: Mapped[int]
    count: Mapped[int]
    content: Mapped[bytes] = mapped_column(Sealed("document_piece.content"))
    at: Mapped[datetime]


class SafetyPermit(Base):
    """A safety permit; the newest valid one is in effect (S43)."""

    __tablename__ = "safety_permit"
    __table_args__ = (UniqueConstraint("uscc", "number"), Index(None, "valid_until"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    number: Mapped[str] = mapped_column(String(50))
    issuer: Mapped[str] = mapped_column(String(200))
    valid_from: Mapped[date]
    valid_until: Mapped[date]
    record_id: Mapped[str | None] = mapped_column(of_record())
    source: Mapped[str] = mapped_column(String(32))
    warned: Mapped[int | None] = mapped_column(doc="At how many days before its end staff was warned last.")
    at: Mapped[datetime]

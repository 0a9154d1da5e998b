"""What an enterprise builds and has built, what is said of it, and its credit (S55-S61)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.registry.protect import SealedText
from sync_agent.registry.tables.base import Base, Id, of_record, words
from sync_agent.registry.tables.licences import ApplicationState


class ProjectStatus(StrEnum):
    """How far a project is (domain.md 10.6, our own words)."""

    PREPARATION = "preparation"
    APPROVED = "approved"
    UNDER_WAY = "under-way"
    COMPLETE = "complete"
    STOPPED = "stopped"


class Project(Base):
    """A building project (S55)."""

    __tablename__ = "project"

    code: Mapped[str] = mapped_column(String(50), primary_key=True)
    name: Mapped[str] = mapped_column(String(300))
    status: Mapped[ProjectStatus] = mapped_column(words(ProjectStatus))
    begun: Mapped[date | None]
    completed: Mapped[date | None]
    source: Mapped[str] = mapped_column(String(32))
    changed_at: Mapped[datetime]


class ProjectParticipant(Base):
    """An enterprise that takes part in a project."""

    __tablename__ = "project_participant"
    __table_args__ = (Index(None, "uscc"),)

    code: Mapped[str] = mapped_column(ForeignKey("project.code"), primary_key=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"), primary_key=True)
    role: Mapped[str] = mapped_column(String(32), primary_key=True)


class Performance(Base):
    """A completed project as an enterprise's performance: one row, however many sources name it (S56-S58)."""

    __tablename__ = "performance"
    __table_args__ = (UniqueConstraint("uscc", "project_code", "kind"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    project_code: Mapped[str] = mapped_column(String(50))
    project_name: Mapped[str] = mapped_column(String(300))
    kind: Mapped[str] = mapped_column(String(32), doc="Survey, design, construction, supervision.")
    begun: Mapped[date | None]
    completed: Mapped[date | None]
    automatic_at: Mapped[datetime | None] = mapped_column(doc="When the real-name platform reported it (S57).")
    makeup_at: Mapped[datetime | None] = mapped_column(doc="When a make-up entry of it was accepted (S58).")


class MakeupRow(Base):
    """A make-up entry (S58). One a record."""

    __tablename__ = "makeup_entry"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    record_id: Mapped[str] = mapped_column(of_record(), unique=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    project_code: Mapped[str] = mapped_column(String(50))
    content: Mapped[str] = mapped_column(SealedText("makeup_entry.content"), doc="`MakeupEntry` as JSON.")
    state: Mapped[ApplicationState] = mapped_column(words(ApplicationState))
    is_duplicate: Mapped[bool] = mapped_column(doc="The project was there already, automatically or by another entry.")
    reason: Mapped[str] = mapped_column(String(500), default="")
    performance_id: Mapped[int | None] = mapped_column(ForeignKey("performance.id"))
    at: Mapped[datetime]
    decided_at: Mapped[datetime | None]


class ConstructionPermit(Base):
    """A construction permit (S59)."""

    __tablename__ = "construction_permit"

    number: Mapped[str] = mapped_column(String(50), primary_key=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"), index=True)
    project_code: Mapped[str] = mapped_column(String(50))
    issuer: Mapped[str] = mapped_column(String(200), default="")
    issued: Mapped[date]
    source: Mapped[str] = mapped_column(String(32))


class NoticeKind(StrEnum):
    """What a notice of an authority is (S60)."""

    PENALTY = "penalty"
    COMMENDATION = "commendation"
    OTHER = "other"


class AdminNotice(Base):
    """A penalty, commendation or other notice to an enterprise (S60)."""

    __tablename__ = "admin_notice"
    __table_args__ = (UniqueConstraint("source", "key"), Index(None, "uscc", "issued"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    kind: Mapped[NoticeKind] = mapped_column(words(NoticeKind))
    title: Mapped[str] = mapped_column(String(300))
    text: Mapped[str] = mapped_column(SealedText("admin_notice.text"), doc="It may name people.")
    issuer: Mapped[str] = mapped_column(String(200), default="")
    issued: Mapped[date]
    source: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(64))
    read_at: Mapped[datetime | None] = mapped_column(doc="When the enterprise saw it first.")


class CreditRecord(Base):
    """An entry of the credit record of an enterprise or a person (S61)."""

    __tablename__ = "credit_record"
    __table_args__ = (UniqueConstraint("source", "key"), Index(None, "uscc"), Index(None, "person_id"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uscc: Mapped[str | None] = mapped_column(ForeignKey("enterprise.uscc"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    is_bonus: Mapped[bool]
    title: Mapped[str] = mapped_column(SealedText("credit_record.title"))
    points: Mapped[float] = mapped_column(default=0.0)
    on: Mapped[date]
    source: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(64))


class CreditClaim(Base):
    """Something an enterprise reports for the credit record, with evidence; staff decides (S61). One a record."""

    __tablename__ = "credit_claim"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    record_id: Mapped[str] = mapped_column(of_record(), unique=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    content: Mapped[str] = mapped_column(SealedText("credit_claim.content"), doc="`CreditEntry` as JSON.")
    state: Mapped[ApplicationState] = mapped_column(words(ApplicationState))
    reason: Mapped[str] = mapped_column(String(500), default="")
    credit_id: Mapped[int | None] = mapped_column(ForeignKey("credit_record.id"))
    at: Mapped[datetime]
    decided_at: Mapped[datetime | None]

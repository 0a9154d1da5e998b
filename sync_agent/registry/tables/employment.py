"""Who works for an enterprise and as what, with which certificates, and what speaks against using them (domain.md 4.5, 4.6)."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.contract.requests import EmploymentKind
from sync_agent.registry.protect import BlindIndex, SealedText
from sync_agent.registry.tables.base import Base, Id, Utc, words
from sync_agent.registry.tables.people import LibraryStatus


class Employment(Base):
    """A person in an enterprise's personnel (S44-S49). Flags and locks lie over it and are no states of it."""

    __tablename__ = "person_employment"
    __table_args__ = (
        UniqueConstraint("uscc", "person_id", "kind"),
        Index(None, "person_id"),
        Index(None, "uscc", "status"),
        CheckConstraint("status <> 'in-library' OR in_library_at IS NOT NULL", name="in_library_since"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    kind: Mapped[EmploymentKind] = mapped_column(words(EmploymentKind))
    source: Mapped[str] = mapped_column(String(32), doc="A connector's name, or `manual`.")
    status: Mapped[LibraryStatus] = mapped_column(words(LibraryStatus))
    in_library_at: Mapped[datetime | None] = mapped_column(Utc)
    work_type: Mapped[str] = mapped_column(String(4), default="", doc="domain.md 10.4.")
    fails: Mapped[int] = mapped_column(default=0, doc="Failed comparisons since the card was read.")
    seen_at: Mapped[datetime] = mapped_column(doc="Of when the last word of its source about it is.")
    changed_at: Mapped[datetime]


class CertificateStatus(StrEnum):
    """How a certificate stands (our own words; domain.md 10.5)."""

    VALID = "valid"
    CANCELLED = "cancelled"
    SUSPENDED = "suspended"
    EXPIRED = "expired"


class Certificate(Base):
    """A certificate of a person (11.5)."""

    __tablename__ = "certificate"
    __table_args__ = (UniqueConstraint("person_id", "family", "number_index"), Index(None, "valid_until"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    family: Mapped[str] = mapped_column(String(32), doc="Skill, safety, post, title, practice, other.")
    number: Mapped[str] = mapped_column(SealedText("certificate.number"))
    number_index: Mapped[str] = mapped_column(BlindIndex)
    specialty: Mapped[str] = mapped_column(String(64), default="")
    level: Mapped[str] = mapped_column(String(64), default="")
    issuer: Mapped[str] = mapped_column(String(200), default="")
    valid_from: Mapped[date | None]
    valid_until: Mapped[date | None] = mapped_column(doc="The last day; None: without end.")
    status: Mapped[CertificateStatus] = mapped_column(words(CertificateStatus), default=CertificateStatus.VALID)
    source: Mapped[str] = mapped_column(String(32))
    changed_at: Mapped[datetime]


class AbnormalCode(StrEnum):
    """Why somebody is abnormal (S50-S52)."""

    MULTI_EMPLOYER = "MULTI_EMPLOYER"
    TRAINING_LAPSED = "TRAINING_LAPSED"
    CERTIFICATE_WITHDRAWN = "CERTIFICATE_WITHDRAWN"
    DATA_CONFLICT = "DATA_CONFLICT"
    RETRAIN_DUE = "RETRAIN_DUE"
    OTHER = "OTHER"


NOT_CLEARED: Final = text("cleared_at IS NULL")


class AbnormalFlag(Base):
    """Something that makes a person unusable until it is cleared (S50-S52, 12.3)."""

    __tablename__ = "abnormal_flag"
    __table_args__ = (
        Index(
            "uq_abnormal_flag_open",
            "person_id",
            "code",
            "uscc",
            unique=True,
            sqlite_where=NOT_CLEARED,
            postgresql_where=NOT_CLEARED,
        ),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    uscc: Mapped[str] = mapped_column(String(18), doc="In which enterprise; empty: everywhere.")
    code: Mapped[AbnormalCode] = mapped_column(words(AbnormalCode))
    text: Mapped[str] = mapped_column(SealedText("abnormal_flag.text"), doc="What its source says of it.")
    raised_by: Mapped[str] = mapped_column(String(32))
    raised_at: Mapped[datetime]
    cleared_at: Mapped[datetime | None]
    cleared_by: Mapped[str] = mapped_column(String(64), default="")


class Release(StrEnum):
    """How a bid lock ended (domain.md 4.6)."""

    FAILED = "failed"
    AWARD = "award"
    MANUAL = "manual"


class BidLock(Base):
    """A person named in a running bid (S53, S54). Late, repeated and early events are harmless: one row a tender and person."""

    __tablename__ = "bid_lock"
    __table_args__ = (UniqueConstraint("tender", "person_id"), Index(None, "person_id"), Index(None, "publicity_ends"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    tender: Mapped[str] = mapped_column(String(64))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    uscc: Mapped[str] = mapped_column(String(18), doc="The bidder.")
    tender_name: Mapped[str] = mapped_column(String(300), default="")
    locked_at: Mapped[datetime | None] = mapped_column(doc="None: its end was reported before its beginning.")
    publicity_ends: Mapped[date | None] = mapped_column(doc="Last day of the award publicity; released when it is over.")
    released_at: Mapped[datetime | None]
    release: Mapped[Release | None] = mapped_column(words(Release))
    reason: Mapped[str] = mapped_column(String(200), default="")

"""The people of the sites: who is expected, who has proven who they are, who came and went, and what a person must decide."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, validates

from sync_agent.contract.kinds import Direction, Method, Outcome
from sync_agent.registry.protect import BlindIndex, SealedText
from sync_agent.registry.tables.base import Base, Id, Json, Utc, of_record, words


class Person(Base):
    """A natural person. Everything that says who stands sealed; the number is found by its blind index."""

    __tablename__ = "person"

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    number_index: Mapped[str] = mapped_column(BlindIndex, unique=True)
    number: Mapped[str] = mapped_column(SealedText("person.number"))
    name: Mapped[str] = mapped_column(SealedText("person.name"))
    card: Mapped[str | None] = mapped_column(SealedText("person.card"), doc="Last card read, `CardHolder` as JSON.")
    card_at: Mapped[datetime | None] = mapped_column(Utc, doc="When it was read, by the device's clock.")
    created_at: Mapped[datetime]

    @validates("number")
    def _index_too(self, _key: str, number: str) -> str:
        self.number_index = number
        return number

    @classmethod
    def has_number(cls, number: str) -> ColumnElement[bool]:
        """Return the condition that finds the person of an identity number."""
        return cls.number_index == number


class LibraryStatus(StrEnum):
    """How far a person of a site has come towards its library (domain.md 4.5)."""

    SYNCED = "synced"
    ADDED = "added"
    CAPTURED = "captured"
    IN_LIBRARY = "in-library"
    LEFT = "left"


class Personnel(Base):
    """A person on the roster of a site (S44-S49)."""

    __tablename__ = "personnel"
    __table_args__ = (
        UniqueConstraint("site_id", "person_id"),
        Index(None, "person_id"),
        CheckConstraint("status <> 'in-library' OR effective_from IS NOT NULL", name="in_library_since"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    status: Mapped[LibraryStatus] = mapped_column(words(LibraryStatus))
    effective_from: Mapped[datetime | None] = mapped_column(Utc, doc="Since when the person is in the library.")
    changed_at: Mapped[datetime]


class VerificationRow(Base):
    """A comparison of person and card: figures, never a likeness (P06)."""

    __tablename__ = "verification"
    __table_args__ = (Index(None, "person_id"), Index(None, "site_id", "time"))

    record_id: Mapped[str] = mapped_column(of_record(), primary_key=True)
    site_id: Mapped[str] = mapped_column(String(64))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    time: Mapped[datetime]
    method: Mapped[Method] = mapped_column(words(Method))
    outcome: Mapped[Outcome] = mapped_column(words(Outcome))
    facts: Mapped[dict[str, Any]] = mapped_column(Json, doc="The whole clear part: card, consent, every comparison.")


class AttendanceRow(Base):
    """A worker of the library entered or left a site."""

    __tablename__ = "attendance"
    __table_args__ = (Index(None, "person_id", "time"), Index(None, "site_id", "time"))

    record_id: Mapped[str] = mapped_column(of_record(), primary_key=True)
    site_id: Mapped[str] = mapped_column(ForeignKey("site.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    time: Mapped[datetime]
    direction: Mapped[Direction] = mapped_column(words(Direction))
    method: Mapped[Method] = mapped_column(words(Method))


class CaseKind(StrEnum):
    """What a review case is about."""

    COMPARISON = "comparison"
    """Person and card could not be shown to belong together by the device (S15, P16)."""
    MANUAL_CHECK = "manual-check"
    """The person chose, or had to take, the check by a person (P03)."""
    DOUBTFUL_CARD = "doubtful-card"
    """What stands on the card does not agree with itself, or the reading is not proven."""
    OTHER_SITE = "other-site"
    """The device speaks of a site it does not stand at."""
    ACCOUNT_ABNORMAL = "account-abnormal"
    """Account, person and enterprise do not fit together, or are frozen (S16)."""
    LEGAL_REPRESENTATIVE = "legal-representative"
    """The legal representative could not be shown to be the card's owner three times (domain.md 4.1)."""
    HELP = "help"
    """Somebody asked for a person (S16, S52, S63)."""


class CaseState(StrEnum):
    """How far a review case is."""

    OPEN = "open"
    APPROVED = "approved"
    REJECTED = "rejected"


class ReviewCase(Base):
    """Something that a person decides, by a deadline (P16)."""

    __tablename__ = "review_case"
    __table_args__ = (Index(None, "state", "deadline"),)

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    kind: Mapped[CaseKind] = mapped_column(words(CaseKind))
    record_id: Mapped[str] = mapped_column(of_record(), unique=True, doc="The record that opened it.")
    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"))
    site_id: Mapped[str] = mapped_column(String(64))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    uscc: Mapped[str | None] = mapped_column(String(18), doc="For which enterprise; None for a site's worker.")
    step: Mapped[str] = mapped_column(String(64), default="")
    cause: Mapped[str] = mapped_column(String(64), default="")
    state: Mapped[CaseState] = mapped_column(words(CaseState), default=CaseState.OPEN)
    opened_at: Mapped[datetime]
    deadline: Mapped[datetime]
    decided_at: Mapped[datetime | None]

    @property
    def number(self) -> str:
        """The number that the visitor and staff name the case by."""
        return f"{self.id:06d}"

"""The enterprises: who they are, who leads them, who is their agent, and how those two proved it (domain.md 4.1-4.4, 11.1)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from sync_agent.contract.kinds import Purpose
from sync_agent.registry.protect import SealedText
from sync_agent.registry.tables.base import Base, Id, Json, Utc, of_record, words


class Region(StrEnum):
    """Whether an enterprise is registered in the region (S17)."""

    IN = "in"
    OUT = "out"


class LegalRepStatus(StrEnum):
    """How far an enterprise's legal representative has come (domain.md 4.1)."""

    NOT_CAPTURED = "not-captured"
    CAPTURED = "captured"
    IN_REVIEW = "in-review"
    VERIFIED = "verified"


class Enterprise(Base):
    """An enterprise. A row appears by an assertion of the portal, or by an upstream system; never by a kiosk (S04)."""

    __tablename__ = "enterprise"

    uscc: Mapped[str] = mapped_column(String(18), primary_key=True)
    name: Mapped[str] = mapped_column(String(200))
    division: Mapped[str] = mapped_column(String(6), default="", doc="Where it is registered, GB/T 2260; empty while unknown.")
    region: Mapped[Region] = mapped_column(words(Region), doc="By S17, or by staff.")
    region_reason: Mapped[str] = mapped_column(String(200), default="", doc="Why staff set it otherwise; empty: by the rule.")
    legal_rep_person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"), doc="None while nobody knows.")
    legal_rep_is_named: Mapped[bool] = mapped_column(default=False, doc="By an upstream system; otherwise by their card alone.")
    legal_rep_status: Mapped[LegalRepStatus] = mapped_column(words(LegalRepStatus), default=LegalRepStatus.NOT_CAPTURED)
    legal_rep_fails: Mapped[int] = mapped_column(default=0, doc="Failed comparisons since it was captured.")
    legal_rep_at: Mapped[datetime | None] = mapped_column(doc="Since when that status holds.")
    activity_kinds: Mapped[list[str]] = mapped_column(Json, default=list, doc="What it does, by our own words (S19).")
    profile: Mapped[int] = mapped_column(default=0, doc="Version of the profile in force; 0 before the first.")
    filing_complete_at: Mapped[datetime | None] = mapped_column(doc="Out-of-region filing (S25).")
    frozen_at: Mapped[datetime | None] = mapped_column(doc="Since when nothing is taken from it (S16).")
    source: Mapped[str] = mapped_column(String(32), doc="Who named it first: a connector's name.")
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class EnterpriseProfile(Base):
    """One version of an enterprise's basic information (S18, S21); nothing is overwritten."""

    __tablename__ = "enterprise_profile"

    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True)
    content: Mapped[str] = mapped_column(SealedText("enterprise_profile.content"), doc="`ProfileUpdate` as JSON.")
    record_id: Mapped[str | None] = mapped_column(of_record(), doc="None: from upstream.")
    at: Mapped[datetime]


class Account(Base):
    """An account of the government-services portal and the enterprise it speaks for (S03)."""

    __tablename__ = "account"

    id: Mapped[str] = mapped_column(String(64), primary_key=True, doc="As the portal names it.")
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    assurance: Mapped[str] = mapped_column(String(32))
    asserted_at: Mapped[datetime]
    frozen_at: Mapped[datetime | None]


class TicketState(StrEnum):
    """What became of a verify ticket (domain.md 4.2); the last three never change."""

    ISSUED = "issued"
    USED = "used"
    EXPIRED = "expired"
    FAILED = "failed"


class VerifyTicket(Base):
    """The minute in which somebody had to prove who they are, for one purpose and enterprise, at one device (S08, S10, S14)."""

    __tablename__ = "verify_ticket"

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    device_id: Mapped[str] = mapped_column(ForeignKey("device.id"))
    purpose: Mapped[Purpose] = mapped_column(words(Purpose))
    uscc: Mapped[str | None] = mapped_column(String(18))
    person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    state: Mapped[TicketState] = mapped_column(words(TicketState))
    issued_at: Mapped[datetime] = mapped_column(doc="By the device's signed time.")
    expires_at: Mapped[datetime]
    record_id: Mapped[str | None] = mapped_column(of_record(), doc="That used it up.")


class ChainState(StrEnum):
    """What became of a verification chain (domain.md 4.3). It arrives whole, so it is never half done."""

    COMPLETE = "complete"
    FAILED = "failed"
    USED = "used"


class VerificationChain(Base):
    """Legal representative and agent, one after the other, in one sitting (S30-S33)."""

    __tablename__ = "verification_chain"

    id: Mapped[str] = mapped_column(String(64), primary_key=True, doc="As the device names it; used once.")
    record_id: Mapped[str] = mapped_column(of_record(), unique=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    legal_rep_person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    agent_person_id: Mapped[int | None] = mapped_column(ForeignKey("person.id"))
    state: Mapped[ChainState] = mapped_column(words(ChainState))
    reason: Mapped[str] = mapped_column(String(64), default="", doc="Why it failed.")
    at: Mapped[datetime]


class AgentStatus(StrEnum):
    """How an agent stands (domain.md 4.4)."""

    VERIFIED = "verified"
    ACTIVE = "active"
    LEFT = "left"
    SUSPENDED = "suspended"
    REVOKED = "revoked"


IN_OFFICE: Final = text("status = 'active'")


class AgentRow(Base):
    """Somebody whom an enterprise authorised to act for it in the region: one term (S22, S30-S39)."""

    __tablename__ = "agent"
    __table_args__ = (
        # S38: one in office, whoever races.
        Index("uq_agent_in_office", "uscc", unique=True, sqlite_where=IN_OFFICE, postgresql_where=IN_OFFICE),
        Index(None, "uscc", "status"),
        # S37: the row names whom it must not be; a change of the legal representative rewrites it, see rules.
        CheckConstraint("status <> 'active' OR person_id <> legal_rep_person_id", name="is_not_the_legal_rep"),
        CheckConstraint("status <> 'active' OR began_at IS NOT NULL", name="in_office_since"),
    )

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"))
    legal_rep_person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), doc="Who authorised.")
    status: Mapped[AgentStatus] = mapped_column(words(AgentStatus))
    chain_id: Mapped[str] = mapped_column(ForeignKey("verification_chain.id"), unique=True)
    contact: Mapped[str | None] = mapped_column(SealedText("agent.contact"), doc="`AgentContact` as JSON, completed later (S39).")
    letter: Mapped[str | None] = mapped_column(String(64), doc="Digest of the letter of authority; not compulsory (S34).")
    began_at: Mapped[datetime | None] = mapped_column(Utc)
    ended_at: Mapped[datetime | None] = mapped_column(Utc)
    end_reason: Mapped[str] = mapped_column(String(64), default="")


class ChangeState(StrEnum):
    """What staff made of a change of the business registration."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"


class BusinessRegChange(Base):
    """A change that an upstream system reports of an enterprise; staff accepts or rejects it (S62)."""

    __tablename__ = "business_reg_change"
    __table_args__ = (UniqueConstraint("uscc", "source", "key"), Index(None, "uscc", "state"))

    id: Mapped[int] = mapped_column(Id, primary_key=True)
    uscc: Mapped[str] = mapped_column(ForeignKey("enterprise.uscc"))
    source: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(64), doc="Names this change at its source: the same again changes nothing.")
    item: Mapped[str] = mapped_column(String(32), doc="What changed, for instance `legal-representative`.")
    old: Mapped[str] = mapped_column(SealedText("business_reg_change.old"))
    new: Mapped[str] = mapped_column(SealedText("business_reg_change.new"))
    detail: Mapped[dict[str, Any]] = mapped_column(Json, default=dict, doc="Nothing personal.")
    state: Mapped[ChangeState] = mapped_column(words(ChangeState), default=ChangeState.OPEN)
    seen_at: Mapped[datetime]
    decided_at: Mapped[datetime | None]

"""What an enterprise asks of the registry: one model a request, all of it personal or business matter, so it travels sealed.

Sources: domain.md rows S18-S61 (columns "kiosk" and "sync agent"), section 11 for fields, section 10 for codes.
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from sync_agent.contract.parts import Digest, Part, Short

Mobile = Annotated[str, Field(pattern=r"^(\+?[0-9]{5,20})?$")]
Line = Annotated[str, Field(max_length=200)]
Number = Annotated[str, Field(max_length=50)]


class EmploymentKind(StrEnum):
    """As what somebody works for an enterprise (S44-S47)."""

    REGISTERED = "registered"
    POST = "post"
    TITLED = "titled"
    OTHER_POST = "other-post"
    OTHER_MANAGEMENT = "other-management"


class RequestKind(StrEnum):
    """Which rule a request goes to."""

    PROFILE = "profile"
    AGENT_CONTACT = "agent-contact"
    PERSON = "person"
    SYNC = "sync"
    SUBMISSION = "submission"
    QUALIFICATION = "qualification"
    SAFETY_PERMIT = "safety-permit"
    MAKEUP = "makeup"
    CREDIT = "credit"


class QualificationAction(StrEnum):
    """What is asked for a qualification (S41)."""

    APPLY = "apply"
    CHANGE = "change"
    RENEW = "renew"
    CANCEL = "cancel"


class ProfileUpdate(Part):
    """Information update (S18, S21, S26); what is empty is named by `PROFILE_INCOMPLETE` at submission, not refused here."""

    kind: Literal[RequestKind.PROFILE] = RequestKind.PROFILE
    based_on: Annotated[int, Field(ge=0, description="Version of the profile that was shown; an older one is refused.")]
    name: Line
    division: Annotated[str, Field(pattern=r"^([0-9]{6})?$", description="GB/T 2260.")] = ""
    address: Line = ""
    legal_rep_duty: Number = ""
    legal_rep_title: Number = ""
    registered_capital: Annotated[float | None, Field(ge=0)] = None
    founded: date | None = None
    office_phone: Mobile = ""
    contact_name: Number = ""
    contact_mobile: Mobile = ""
    activity_kinds: tuple[Short, ...] = Field(default=(), max_length=20)


class AgentContact(Part):
    """The agent's contact, the only part of an agent's record that may be edited (S39)."""

    kind: Literal[RequestKind.AGENT_CONTACT] = RequestKind.AGENT_CONTACT
    number: Annotated[str, Field(max_length=18)]
    mobile: Mobile
    address: Line = ""


class CertificateEntry(Part):
    """A certificate of a person, as it stands on paper (11.5)."""

    family: Short
    number: Number
    specialty: Short = ""
    level: Short = ""
    issuer: Line = ""
    valid_from: date | None = None
    valid_until: date | None = None


class PersonEntry(Part):
    """A person added by hand (S46, S47)."""

    kind: Literal[RequestKind.PERSON] = RequestKind.PERSON
    name: Short
    number: Annotated[str, Field(max_length=18)]
    employment: EmploymentKind
    work_type: Annotated[str, Field(pattern=r"^([0-9]{3,4})?$", description="Section 10.4.")] = ""
    mobile: Mobile = ""
    certificates: tuple[CertificateEntry, ...] = Field(default=(), max_length=20)


class SyncPeople(Part):
    """Fetch registered or post people from their source now (S44, S45)."""

    kind: Literal[RequestKind.SYNC] = RequestKind.SYNC
    employment: Literal[EmploymentKind.REGISTERED, EmploymentKind.POST]


class SubmissionEntry(Part):
    """The qualification submission of an enterprise (S19, S24, S25, S28)."""

    kind: Literal[RequestKind.SUBMISSION] = RequestKind.SUBMISSION
    line: Short = Field(description="Qualification or declared activity it is for.")
    grade: Short = ""
    technical_lead: Annotated[str, Field(max_length=18, description="Identity number.")]
    statement: Line = ""


class QualificationEntry(Part):
    """Apply for, change, renew or cancel a qualification (S41)."""

    kind: Literal[RequestKind.QUALIFICATION] = RequestKind.QUALIFICATION
    action: QualificationAction
    line: Short
    grade: Short = ""
    certificate: Number = Field(default="", description="Of the qualification that is changed, renewed or cancelled.")
    reason: Line = ""


class SafetyPermitEntry(Part):
    """A safety permit (S43)."""

    kind: Literal[RequestKind.SAFETY_PERMIT] = RequestKind.SAFETY_PERMIT
    number: Number
    issuer: Line
    valid_from: date
    valid_until: date


class MakeupEntry(Part):
    """A completed project that the automatic record lacks (S58)."""

    kind: Literal[RequestKind.MAKEUP] = RequestKind.MAKEUP
    project_code: Number
    project_name: Line
    performance: Short = Field(description="Section 10.6: survey, design, construction, supervision.")
    begun: date
    completed: date


class CreditEntry(Part):
    """Something for the credit record of an enterprise or a person (S61)."""

    kind: Literal[RequestKind.CREDIT] = RequestKind.CREDIT
    about: Literal["enterprise-record", "bonus", "personal-record"]
    number: Annotated[str, Field(max_length=18, description="Whose, for a personal record.")] = ""
    title: Line
    on: date
    statement: Line = ""


Body = Annotated[
    ProfileUpdate
    | AgentContact
    | PersonEntry
    | SyncPeople
    | SubmissionEntry
    | QualificationEntry
    | SafetyPermitEntry
    | MakeupEntry
    | CreditEntry,
    Field(discriminator="kind"),
]


class Attachment(Part):
    """A document that belongs to a request, by its digest; its pieces are records of their own before it in the chain."""

    digest: Digest
    bytes: Annotated[int, Field(ge=1, le=6_000_000)]
    media: Literal["image/jpeg", "image/png", "application/pdf"]
    role: Short = Field(description="What it is for, for instance `licence` or `authorisation-letter`.")


class Signatory(StrEnum):
    """In what capacity somebody signs for an enterprise by their face."""

    LEGAL_REPRESENTATIVE = "legal-representative"
    AGENT = "agent"


class RequestBody(Part):
    """The sealed part of a request: what is asked for, and by whom."""

    signed_by: Signatory
    signatory_number: Annotated[str, Field(max_length=18)]
    body: Body

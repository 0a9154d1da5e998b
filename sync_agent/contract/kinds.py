"""What a record can say: one pair of models a kind, facts in the clear and what is personal, to be sealed.

A new kind is a class pair and one line in `KINDS`. Facts never hold a name, a number, an address or a likeness (P06, P19);
the registry reads the personal part after opening it. Kinds and terms: domain.md section 3, "Record kinds the kiosk publishes".
"""

from __future__ import annotations

from datetime import date
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import AwareDatetime, Field

from sync_agent.contract.parts import Digest, Facts, Moment, Part, Short, Uscc
from sync_agent.contract.requests import Attachment, RequestBody, RequestKind

Score = Annotated[float, Field(ge=-16, le=16)]

# --- what several kinds share ---------------------------------------------------------------------------------------


class CardKind(StrEnum):
    """The documents a kiosk reads."""

    RESIDENT = "resident"
    HKMT_RESIDENCE = "hkmt-residence"
    FOREIGN_PR_2017 = "foreign-pr-2017"
    FOREIGN_PR_2023 = "foreign-pr-2023"


class Provenance(StrEnum):
    """How far a reading is proven."""

    SAM_VERIFIED = "sam-verified"
    ICAO_VERIFIED = "icao-verified"
    ICAO_UNVERIFIED = "icao-unverified"


class Finding(StrEnum):
    """An inconsistency found on a card: reported, never an exception."""

    NUMBER_CHECK = "number-check"
    BIRTH_DIFFERS = "birth-differs"
    SEX_DIFFERS = "sex-differs"
    EXPIRED = "expired"
    NOT_YET_VALID = "not-yet-valid"
    RARE_NAME = "rare-name"


class CardFacts(Part):
    """How the card was read; nothing of what stands on it."""

    kind: CardKind
    provenance: Provenance
    reader_module: Short
    findings: tuple[Finding, ...] = ()


class CardHolder(Part):
    """What stands on the card: personal, travels only sealed. Codes as on the chip (GA/T 490, GB/T 2261.1, GB/T 3304)."""

    name: Short
    latin_name: Short = ""
    number: Annotated[str, Field(max_length=18)]
    sex: Annotated[str, Field(max_length=1)]
    ethnic_group: Annotated[str, Field(max_length=2)] = ""
    nationality: Annotated[str, Field(max_length=3)] = ""
    birth: date
    address: Annotated[str, Field(max_length=128)] = ""
    issuer: Short = ""
    valid_from: date
    valid_until: date | None = Field(description="Absent for 长期, no expiry.")


class Method(StrEnum):
    """How card and person were compared; all three are of equal standing (P03)."""

    FACE = "face"
    MANUAL = "manual"
    NATIONAL_IDENTITY = "national-identity"


class Outcome(StrEnum):
    """The closed enumeration of what a comparison can end in."""

    MATCH = "match"
    REVIEW = "review"
    NO_MATCH = "no-match"
    NOT_LIVE = "not-live"
    POOR_QUALITY = "poor-quality"
    WRONG_PERSON = "wrong-person"
    NO_REFERENCE = "no-reference"
    TO_CONFIRM = "to-confirm"


class Liveness(StrEnum):
    """Which liveness test ran and how it ended."""

    NOT_RUN = "not-run"
    CHALLENGE_ONLY = "challenge-only"
    PASSED = "passed"
    FAILED = "failed"
    ATTENDANT = "attendant"


class LivenessCheck(StrEnum):
    """What a liveness test can consist of; a record names those that ran."""

    CHALLENGE = "challenge"
    IDENTITY = "identity"
    CONTINUITY = "continuity"
    PLANARITY = "planarity"
    PASSIVE = "passive"


class Condition(StrEnum):
    """What kind of portrait a face is compared with; each has thresholds of its own."""

    CHIP = "chip"
    DOCUMENT = "document"


class Scoring(StrEnum):
    """How two vectors become one number; the smaller, the more alike."""

    EUCLIDEAN = "euclidean"
    CENTRED = "centred-cosine"
    COHORT = "cohort"
    CENTRED_COHORT = "centred-cohort"


class Comparison(Part):
    """One look at a face against the portrait of a card: figures only, no image and no template (P06)."""

    outcome: Outcome
    distance: Score | None = Field(description="How unlike the two are, by the scoring named; absent where none was made.")
    accept_at: Score
    review_at: Score
    accept_fmr: float | None = Field(default=None, gt=0, le=1, description="False-match rate that `accept_at` stands for.")
    condition: Condition = Condition.CHIP
    scoring: Scoring = Scoring.EUCLIDEAN
    calibration: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = Field(
        default="", description="SHA-256 of the calibration by consenting people; empty where there was none."
    )
    pack: Short
    pack_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    liveness: Liveness
    checks: tuple[LivenessCheck, ...] = Field(default=(), max_length=5, description="What the liveness test consisted of.")
    quality: Short = Field(default="", description="Cause when the outcome is poor-quality, not-live or no-reference.")
    frames: Annotated[int, Field(ge=0, le=1000)]


class Consent(Part):
    """What the visitor agreed to, separately for each purpose (P01, P02)."""

    notice: Short = Field(description="Version of the notice that was shown.")
    compare: bool
    keep_photo: bool
    at: AwareDatetime


# --- kinds ----------------------------------------------------------------------------------------------------------


class Purpose(StrEnum):
    """What somebody proves who they are for (S08)."""

    WORKER = "worker"
    LEGAL_REPRESENTATIVE = "legal-representative"
    PERSONNEL = "personnel"
    SIGNING = "signing"


class Capture(Facts):
    """A card was read and its fields are handed to the registry (S07, S30, S49)."""

    kind: ClassVar[str] = "capture"
    Personal: ClassVar[type[Part]] = CardHolder

    site: Short
    purpose: Purpose = Purpose.WORKER
    enterprise: Uscc | None = Field(default=None, description="For whom; none for a worker of a site.")
    person: Short = Field(default="", description="Whom the registry expects, by its own reference; empty for whoever comes.")
    card: CardFacts


class Ticket(Part):
    """The minute within which a verification must happen; by the device's signed times (S10)."""

    id: Short
    issued_at: Moment


class Verification(Facts):
    """A person was compared with their card, or asked for a person instead (S08, S11, S15, S48, S49)."""

    kind: ClassVar[str] = "verification"
    Personal: ClassVar[type[Part]] = CardHolder

    site: Short
    purpose: Purpose = Purpose.WORKER
    enterprise: Uscc | None = Field(default=None, description="For whom; none for a worker of a site.")
    ticket: Ticket | None = None
    person: Short = Field(default="", description="Whom the registry expects, by its own reference; empty for whoever comes.")
    card: CardFacts
    consent: Consent
    method: Method
    outcome: Outcome
    comparisons: tuple[Comparison, ...] = Field(default=(), max_length=10)


class Leg(Part):
    """One person's verification within a chain."""

    card: CardFacts
    consent: Consent
    method: Method
    outcome: Outcome
    comparisons: tuple[Comparison, ...] = Field(default=(), max_length=10)
    at: Moment = Field(description="When it ended.")
    boot: Annotated[int, Field(ge=0, description="The start of the kiosk it was made in.")]


class ChainHolders(Part):
    """The two people of a chain; sealed."""

    legal_representative: CardHolder
    agent: CardHolder
    agent_mobile: Annotated[str, Field(pattern=r"^(\+?[0-9]{5,20})?$")] = ""


class Chain(Facts):
    """The legal representative and the agent proved themselves in one unbroken sitting, in this order (S30-S33)."""

    kind: ClassVar[str] = "chain"
    Personal: ClassVar[type[Part]] = ChainHolders

    site: Short
    enterprise: Uscc
    chain: Short = Field(description="Made on the device; used once.")
    begun: Moment
    legal_representative: Leg
    agent: Leg
    attachments: tuple[Attachment, ...] = Field(
        default=(), max_length=5, description="The letter of authority is optional (S34)."
    )


class Request(Facts):
    """An enterprise asks for something, signed by a face (S18, S25, S39, S41, S43, S46, S47, S58, S61)."""

    kind: ClassVar[str] = "request"
    Personal: ClassVar[type[Part]] = RequestBody

    site: Short
    enterprise: Uscc
    about: RequestKind
    verification: Short = Field(description="Id of the record by which whoever signs proved who they are, in the same visit.")
    attachments: tuple[Attachment, ...] = Field(default=(), max_length=20)


class PieceBytes(Part):
    """The bytes of a piece; sealed."""

    data: Annotated[str, Field(max_length=32_000, description="Base64 of 24,000 bytes at most: a message holds 64 KiB.")]


class Piece(Facts):
    """A piece of an attachment, before the record that names the whole of it."""

    kind: ClassVar[str] = "piece"
    Personal: ClassVar[type[Part]] = PieceBytes

    site: Short
    attachment: Digest
    index: Annotated[int, Field(ge=0, le=255)]
    count: Annotated[int, Field(ge=1, le=256)]


class Withdrawal(Facts):
    """Somebody takes their consent back and has what is kept of them erased (P10)."""

    kind: ClassVar[str] = "withdrawal"
    Personal: ClassVar[type[Part]] = CardHolder

    site: Short
    card: CardFacts
    photo: bool = Field(description="The photo that was kept with consent.")
    person: bool = Field(description="Everything that no law has us keep.")


class Direction(StrEnum):
    """Which way a worker passes the gate."""

    ENTER = "enter"
    LEAVE = "leave"


class PersonReference(Part):
    """Who it was, by identity number; sealed."""

    number: Annotated[str, Field(max_length=18)]


class Attendance(Facts):
    """A worker enters or leaves a site (U4)."""

    kind: ClassVar[str] = "attendance"
    Personal: ClassVar[type[Part]] = PersonReference

    site: Short
    direction: Direction
    method: Method


class Cause(StrEnum):
    """Why a visitor asks for a person."""

    HELP = "help"
    NO_MATCH = "no-match"
    ACCOUNT_ABNORMAL = "account-abnormal"
    PERSON_ABNORMAL = "person-abnormal"
    DEVICE_FAULT = "device-fault"


class Case(Facts):
    """Help was asked for in one touch (S15, S16, S52, S63); no free text, nothing personal."""

    kind: ClassVar[str] = "case"

    site: Short
    step: Short
    cause: Cause


class PartState(StrEnum):
    """How a part of the kiosk is."""

    WELL = "well"
    ABSENT = "absent"
    FAILED = "failed"


class PartHealth(Part):
    """One line of the self-test."""

    state: PartState
    code: Short = Field(default="", description="Stable code of the fault, for instance CARD-01.")
    since: Moment


class Health(Facts):
    """The kiosk's self-test: at start, on every change, and once a day (S06, S13, S64)."""

    kind: ClassVar[str] = "health"

    version: Short
    parts: dict[Short, PartHealth]


_ALL: Final = (Capture, Verification, Chain, Request, Piece, Withdrawal, Attendance, Case, Health)
KINDS: Final[dict[str, type[Facts]]] = {kind.kind: kind for kind in _ALL}

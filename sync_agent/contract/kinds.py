"""What a record can say: one pair of models a kind, facts in the clear and what is personal, to be sealed.

A new kind is a class pair and one line in `KINDS`. Facts never hold a name, a number, an address or a likeness (P06, P19);
the registry reads the personal part after opening it. Kinds and terms: domain.md section 3, "Record kinds the kiosk publishes".
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Short = Annotated[str, Field(max_length=64)]
Score = Annotated[float, Field(ge=-16, le=16)]

_DAY: Final = timedelta(days=1)


def _on_calendar(moment: datetime) -> datetime:
    """Refuse a time so near to an end of the calendar that another zone has none for it."""
    if not datetime.min.replace(tzinfo=UTC) + _DAY <= moment <= datetime.max.replace(tzinfo=UTC) - _DAY:
        raise ValueError("beyond the calendar")
    return moment


Moment = Annotated[AwareDatetime, AfterValidator(_on_calendar)]
"""A time that can be told in every zone."""


class Part(BaseModel):
    """A piece of a record: unknown keys are refused, nothing changes after it is made."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


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


class Nothing(Part):
    """The personal part of a kind that has none."""


class Facts(Part):
    """The clear part of a record."""

    kind: ClassVar[str]
    Personal: ClassVar[type[Part]] = Nothing


class Capture(Facts):
    """A card was read and its fields are handed to the registry (S07, S30, S49)."""

    kind: ClassVar[str] = "capture"
    Personal: ClassVar[type[Part]] = CardHolder

    site: Short
    card: CardFacts


class Verification(Facts):
    """A person was compared with their card, or asked for a person instead (S08, S11, S15, S48, S49)."""

    kind: ClassVar[str] = "verification"
    Personal: ClassVar[type[Part]] = CardHolder

    site: Short
    card: CardFacts
    consent: Consent
    method: Method
    outcome: Outcome
    comparisons: tuple[Comparison, ...] = Field(default=(), max_length=10)


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


KINDS: Final[dict[str, type[Facts]]] = {k.kind: k for k in (Capture, Verification, Attendance, Case, Health)}

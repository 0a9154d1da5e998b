"""The sync agent's answer: what it holds, what its rules said, signed so that no broker can forge it.

A receipt is cumulative (``upto`` and ``gaps``), so a lost one costs nothing; the answers of the rules ride along. Three words,
none before it is true: received (the centre holds the record), accepted (rules passed), effective (registry state changed).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from joserfc.jwk import OKPKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sync_agent.contract.codes import Code, Fault
from sync_agent.contract.parts import Short
from sync_agent.contract.suites import INTL_1, BadSignature
from sync_agent.contract.topics import DeviceId

MEDIA_TYPE: Final = "rz-receipt+jws"


class Part(BaseModel):
    """A piece of a receipt. Unknown keys are ignored: an older kiosk must understand a newer agent."""

    model_config = ConfigDict(frozen=True)


class Standing(StrEnum):
    """What the rules made of a record."""

    ACCEPTED = "accepted"
    REFUSED = "refused"
    IN_REVIEW = "in-review"


class Ruling(Part):
    """The rules' answer to one record."""

    seq: Annotated[int, Field(ge=1)]
    digest: str = Field(description="Digest of the record's bytes, so that an answer fits only the record it is for.")
    standing: Standing
    code: Code | None = Field(default=None, description="Why it was refused.")
    effective_from: AwareDatetime | None = Field(default=None, description="Since when the registry's state is changed.")
    case: str | None = Field(default=None, description="Number of the review case that was opened.")
    gaps: tuple[Short, ...] = Field(
        default=(),
        max_length=40,
        description="All that is missing, as `AGENT_INCOMPLETE:mobile` (S24-S28).",
    )


class Rejection(Part):
    """Something sent that never became a record, named by what it was: nothing in it could be believed or understood."""

    message_sha256: str = Field(description="Of the whole message as it was sent.")
    digest: str = Field(
        default="", description="Of the record's bytes, where the signature held and one record of the message was the cause."
    )
    fault: Fault


class Receipt(Part):
    """What the centre holds of one device and epoch."""

    device: str
    epoch: str = Field(description="Empty when nothing but rejections of unreadable messages is said.")
    upto: Annotated[int, Field(ge=0, description="Every record up to this sequence is committed, but for the gaps.")]
    gaps: tuple[tuple[int, int], ...] = Field(default=(), description="Missing ranges below upto, both ends included.")
    rulings: tuple[Ruling, ...] = ()
    rejections: tuple[Rejection, ...] = ()
    reconciles: str = Field(
        default="",
        description="Nonce of the birth this answers: then upto and gaps are all that the centre holds, and a record "
        "it was thought to hold but does not is sent again.",
    )
    at: AwareDatetime


class Forged(ValueError):
    """A receipt that the sync agent did not sign for this device."""


def write(receipt: Receipt, key: OKPKey) -> bytes:
    """Return the receipt signed with the agent's Ed25519 key."""
    return INTL_1.sign(receipt.model_dump_json(exclude_none=True).encode(), key, MEDIA_TYPE)


def read(message: bytes, key: OKPKey, device: DeviceId) -> Receipt:
    """Check and parse a receipt.

    Raises:
        Forged: signature, form or addressee do not fit; nothing in it may be believed.
    """
    try:
        receipt = Receipt.model_validate_json(INTL_1.verify(message, key, MEDIA_TYPE))
    except BadSignature as err:
        raise Forged(str(err)) from err
    except ValidationError as err:
        raise Forged(f"not a receipt: {err.error_count()} faults") from None
    if receipt.device != device:
        raise Forged("signed for another device")
    return receipt

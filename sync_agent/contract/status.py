"""What a device says of itself outside the chain: birth, state and telemetry. Caches for the fleet page, never evidence."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from sync_agent.contract.envelope import LAST_SEQ
from sync_agent.contract.kinds import PartHealth
from sync_agent.contract.parts import Moment, Short

MOST_PARTS: Final = 64
"""Most lines of a self-test in one telemetry message."""

Count = Annotated[int, Field(ge=0, le=2**31 - 1)]
Boot = Annotated[int, Field(ge=1, le=2**31 - 1)]


class Part(BaseModel):
    """A piece of a status message. Unknown keys are ignored: an older agent must understand a newer kiosk."""

    model_config = ConfigDict(frozen=True)


class Link(StrEnum):
    """Whether the device is connected; the broker says ``offline`` for it as its will."""

    ONLINE = "online"
    OFFLINE = "offline"


class State(Part):
    """Retained; a death whose ``boot`` is lower than the birth's is a late will and is ignored."""

    boot: Boot
    link: Link


class Birth(Part):
    """Said on every connection and once a day, retained: what the device signed, to be compared with what the centre holds."""

    boot: Boot
    version: Short
    site: Short
    epoch: Annotated[str, Field(pattern=r"^([0-9a-f]{16})?$")]
    last_seq: Annotated[int, Field(ge=0, le=LAST_SEQ)]
    last_digest: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")]
    nonce: Short = Field(default="", description="The receipt that answers this birth repeats it.")
    trust: Count = Field(default=0, description="Number of the trust list in force on the device; 0 for that of enrolment.")


class Telemetry(Part):
    """Said every few minutes and on change, not kept by the broker."""

    at: Moment
    queue: Annotated[Count, Field(description="Records without receipt.")]
    oldest_age_s: Annotated[Count, Field(description="Age of the oldest of them, seconds; 0 when none.")]
    parts: dict[Short, PartHealth] = Field(
        default_factory=dict, max_length=MOST_PARTS, description="Last self-test, part by part."
    )

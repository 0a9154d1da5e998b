"""What a device says of itself outside the chain: birth, state and telemetry. Caches for the fleet page, never evidence."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from sync_agent.contract.kinds import PartHealth, Short


class Part(BaseModel):
    """A piece of a status message. Unknown keys are ignored: an older agent must understand a newer kiosk."""

    model_config = ConfigDict(frozen=True)


class Link(StrEnum):
    """Whether the device is connected; the broker says ``offline`` for it as its will."""

    ONLINE = "online"
    OFFLINE = "offline"


class State(Part):
    """Retained; a death whose ``boot`` is lower than the birth's is a late will and is ignored."""

    boot: Annotated[int, Field(ge=1)]
    link: Link


class Birth(Part):
    """Said on every connection and once a day, retained: what the device signed, to be compared with what the centre holds."""

    boot: Annotated[int, Field(ge=1)]
    version: Short
    site: Short
    epoch: str
    last_seq: Annotated[int, Field(ge=0)]
    last_digest: str
    nonce: Short = Field(default="", description="The receipt that answers this birth repeats it.")
    trust: Annotated[
        int, Field(ge=0, description="Number of the trust list in force on the device; 0 for that of enrolment.")
    ] = 0


class Telemetry(Part):
    """Said every few minutes and on change, not kept by the broker."""

    at: AwareDatetime
    queue: Annotated[int, Field(ge=0, description="Records without receipt.")]
    oldest_age_s: Annotated[int, Field(ge=0, description="Age of the oldest of them, seconds; 0 when none.")]
    parts: dict[Short, PartHealth] = Field(default_factory=dict, description="Last self-test, part by part.")

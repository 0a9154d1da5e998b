"""What every piece of a message is made of: unknown keys are refused, nothing changes after it is made."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, ClassVar, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

Short = Annotated[str, Field(max_length=64)]
Uscc = Annotated[str, Field(pattern=r"^[0-9A-Z]{18}$", description="Unified social credit code, GB 32100-2015.")]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256.")]

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


class Nothing(Part):
    """The personal part of a kind that has none."""


class Facts(Part):
    """The clear part of a record."""

    kind: ClassVar[str]
    Personal: ClassVar[type[Part]] = Nothing

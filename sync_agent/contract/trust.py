"""The trust list: whom a device believes from now on, signed by a key of the sync agent that it believes already.

The number only ever rises, so an old list that is said again changes nothing. With a list the sync agent brings its own keys and
its certificate authority from one to the next, each change in two steps with both valid in between.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

from joserfc.jwk import OKPKey
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from sync_agent.contract.enrolment import PublicKey
from sync_agent.contract.suites import INTL_1, BadSignature, NotSigned, key_id
from sync_agent.contract.topics import DeviceId

MEDIA_TYPE: Final = "rz-trust+jws"


class Trust(BaseModel):
    """Whom one device believes. Unknown keys are ignored: an older kiosk must understand a newer agent."""

    model_config = ConfigDict(frozen=True)

    device: str
    number: Annotated[int, Field(ge=1, description="Rises with every change; a list that is not higher is no news.")]
    agent_keys: Annotated[tuple[PublicKey, ...], Field(min_length=1, description="Keys that may sign receipts and lists.")]
    registry_key: PublicKey = Field(description="X25519 key that personal parts are sealed to.")
    ca: Annotated[str, Field(min_length=1, description="PEM of every authority to trust.")]
    issuer: str = Field(
        description="SHA-256 of the DER certificate of the authority in force, hexadecimal: certificates of others are renewed."
    )
    replace_key: str = Field(default="", description="Thumbprint of the record key that the device is to replace by a new one.")
    at: AwareDatetime


class Forged(ValueError):
    """A list that no key the device believes signed for it."""


def write(trust: Trust, key: OKPKey) -> bytes:
    """Return the list signed with an Ed25519 key of the agent."""
    return INTL_1.sign(trust.model_dump_json().encode(), key, MEDIA_TYPE)


def read(message: bytes, keys: Sequence[OKPKey], device: DeviceId) -> Trust:
    """Check and parse a list.

    Args:
        message: as received.
        keys: public keys of the agent that the device believes.
        device: who it must be for.

    Raises:
        Forged: signature, form or addressee do not fit; nothing in it may be believed.
    """
    try:
        kid = key_id(message)
        key = next((key for key in keys if key.thumbprint() == kid), None)
        if key is None:
            raise Forged(f"signed by a key that is not believed, {kid[:64]!r}")
        trust = Trust.model_validate_json(INTL_1.verify(message, key, MEDIA_TYPE))
    except (NotSigned, BadSignature) as err:
        raise Forged(str(err)) from err
    except ValidationError as err:
        raise Forged(f"not a trust list: {err.error_count()} faults") from None
    if trust.device != device:
        raise Forged("signed for another device")
    return trust

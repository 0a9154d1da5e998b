"""How a device becomes known: it makes its keys and asks, an operator approves, the answer carries what it must trust."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sync_agent.contract.kinds import Short

PublicKey = dict[str, str | list[str]]
"""A public key as JWK (RFC 8037)."""


class Part(BaseModel):
    """A piece of an enrolment message."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(Part):
    """What a device asks to be known as. Holds no secret."""

    device: Annotated[str, Field(pattern=r"^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$")]
    site: Short
    serial: Short = Field(description="Serial number of the board.")
    csr: str = Field(description="PEM certificate request of the TLS key; its common name is the device.")
    record_key: PublicKey = Field(description="Public Ed25519 key that records will be signed with.")


class Answer(Part):
    """What an approved device is given."""

    tenant: str
    device: str
    site: str
    broker_host: str
    broker_port: Annotated[int, Field(ge=1, le=65535)]
    certificate: str = Field(description="PEM, 90 days.")
    ca: str = Field(description="PEM of every authority to trust; two during a change.")
    agent_keys: Annotated[list[PublicKey], Field(min_length=1, description="Keys that may sign receipts; two in a rotation.")]
    registry_key: PublicKey = Field(description="X25519 key that personal parts are sealed to.")

"""The topic tree: who may speak where, and which shard a device belongs to.

Characters are ``a-z 0-9 -`` only, at most nine levels, so that any MQTT 3.1.1 broker carries them.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NewType

DeviceId = NewType("DeviceId", str)
Tenant = NewType("Tenant", str)

SHARDS: Final = 64
"""Number of shards; fixed for ever in the wire format."""

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")


class Up(StrEnum):
    """What a device says, the last level of its topics."""

    RECORD = "rec"
    BIRTH = "birth"
    STATE = "state"
    TELEMETRY = "tel"


class Down(StrEnum):
    """What the sync agent says to one device, the last level of the topic."""

    RECEIPT = "rcpt"
    TRUST = "trust"


class BadTopic(ValueError):
    """A topic or a name in it does not have the agreed form."""


def name(text: str) -> str:
    """Return `text` when it may stand as one level of a topic.

    Raises:
        BadTopic: other characters than ``a-z 0-9 -``, empty, or over 63 characters.
    """
    if not _NAME.fullmatch(text):
        raise BadTopic(f"{text[:64]!r} may hold only a-z, 0-9 and inner hyphens, at most 63 characters")
    return text


def shard(device: DeviceId) -> int:
    """Return the shard of a device, 0 to 63: first byte of SHA-256 over its id, modulo 64."""
    return hashlib.sha256(device.encode()).digest()[0] % SHARDS


def up(tenant: Tenant, device: DeviceId, what: Up) -> str:
    """Return the topic on which `device` says `what`."""
    return f"rz/1/{name(tenant)}/up/{shard(device):02d}/{name(device)}/{what}"


def down(tenant: Tenant, device: DeviceId, what: Down) -> str:
    """Return the topic on which the sync agent tells `device` `what`."""
    return f"rz/1/{name(tenant)}/dn/{name(device)}/{what}"


def every_up(tenant: Tenant) -> str:
    """Return the filter for everything that every device of a tenant says."""
    return f"rz/1/{name(tenant)}/up/+/+/#"


def of_shard(tenant: Tenant, number: int) -> str:
    """Return the filter for everything that every device of one shard says."""
    return f"rz/1/{name(tenant)}/up/{number:02d}/+/#"


@dataclass(frozen=True, slots=True)
class Heard:
    """Where a message came from, read from its topic."""

    tenant: Tenant
    device: DeviceId
    what: Up


def heard(topic: str) -> Heard:
    """Read an upward topic back into its parts.

    Raises:
        BadTopic: not of the tree, or the shard is not the device's own.
    """
    match topic.split("/"):
        case ["rz", "1", tenant, "up", number, device, what] if what in list(Up):
            who = DeviceId(name(device))
            if number != f"{shard(who):02d}":
                raise BadTopic(f"shard {number!r} is not the shard of the device in the topic")
            return Heard(Tenant(name(tenant)), who, Up(what))
        case _:
            raise BadTopic(f"{topic[:200]!r} is not a topic that devices speak on")

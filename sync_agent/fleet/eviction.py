"""Ends the session of a device that was revoked while connected: a broker reads its revocation list at new connections only.

We connect in its name with a certificate that we issue to ourselves, which makes any MQTT broker that takes client ids from
certificates drop the older connection, and leave again. With a clean session nothing stays queued for the device either.
"""

from __future__ import annotations

import os
import socket
import ssl
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from sync_agent.contract.topics import DeviceId
from sync_agent.fleet.authority import Authority
from sync_agent.settings import BrokerSettings

log = structlog.get_logger(__name__)

DEADLINE_S: Final = 10.0
_DISCONNECT: Final = b"\xe0\x00"


class NotEvicted(Exception):
    """The session could not be ended. Code EVI-01: its records are refused all the same; end it at the broker, or try again."""

    code = "EVI-01"


def evict(authority: Authority, device: DeviceId, broker: BrokerSettings, now: datetime) -> None:
    """Take over the MQTT session of a device and end it.

    Args:
        authority: signs our certificate in the device's name, for a day.
        device: whose session.
        broker: where it is connected.
        now: the time.

    Raises:
        NotEvicted: the broker cannot be reached or does not let us in.
    """
    try:
        context = _credentials(authority, device, now)
        with (
            socket.create_connection((broker.host, broker.port), timeout=DEADLINE_S) as plain,
            context.wrap_socket(plain, server_hostname=broker.host) as line,
        ):
            line.sendall(connect_packet(device))
            answer = line.recv(4)
            if answer[:1] != b"\x20" or answer[3:] != b"\x00":
                raise NotEvicted(f"the broker did not let us in as {device!r} (answer {answer.hex() or 'none'})")
            line.sendall(_DISCONNECT)
    except OSError as err:
        raise NotEvicted(f"the session of {device!r} at {broker.host}:{broker.port} could not be ended: {err}") from err
    log.warning("device.evicted", device=device)


def connect_packet(client_id: str) -> bytes:
    """Return the MQTT 3.1.1 packet that opens a clean session (section 3.1 of the standard), keepalive 10 s."""
    name = client_id.encode()
    rest = b"\x00\x04MQTT\x04\x02\x00\x0a" + len(name).to_bytes(2) + name
    return b"\x10" + bytes([len(rest)]) + rest  # a name has 63 characters at most: one byte of length is enough


def _credentials(authority: Authority, device: DeviceId, now: datetime) -> ssl.SSLContext:
    """Return what proves us to be the device; on the disk it lies for an instant only, as OpenSSL wants a file."""
    key = ec.generate_private_key(ec.SECP256R1())
    form = serialization.PrivateFormat.PKCS8
    secret = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    certificate = authority.sign_for_eviction(key.public_key(), device, now)
    context = ssl.create_default_context(cafile=str(authority.files.ca))
    with tempfile.NamedTemporaryFile(dir=authority.files.folder, prefix="eviction-", suffix=".pem") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(secret + certificate.encode())
        file.flush()
        context.load_cert_chain(Path(file.name))
    return context

"""A broker with the sync agent's own authority, devices that speak to it, and sessions that hear them; no database."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from sync_agent.contract import topics
from sync_agent.contract.topics import DeviceId, Tenant, Up, shard
from sync_agent.fleet import authority
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.line import BrokerAccess, Protocol
from sync_agent.ingest.sessions import Sessions
from system.services.broker import Mosquitto
from tests.certificates import Issued
from tests.mqtt import Speaker

TENANT: Final = Tenant("xz")
WITHIN_S: Final = 10.0


def device_of(number: int) -> DeviceId:
    """Return a device of a shard."""
    return next(name for count in range(10_000) if shard(name := DeviceId(f"kiosk-{count}")) == number)


def until(true: Callable[[], object], what: str, within_s: float = WITHIN_S) -> None:
    """Wait for something that another thread or process does."""
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, f"{what} did not happen within {within_s:g} s"
        time.sleep(0.01)


def now() -> datetime:
    return datetime.now(UTC)


class Hub:
    """The broker and who speaks there. Everything is stopped with `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.authority = authority.establish(folder / "keys", [], now())
        self.authority.certify_sessions(now())
        self.authority.write_revocation_list([], 30, now())
        files = self.files = self.authority.files
        broker = (files.broker_certificate, files.broker_key)
        self.broker = Mosquitto(folder / "mosquitto", ca=files.ca, certificate=broker[0], key=broker[1], revoked=files.revoked)
        self._stack = ExitStack()
        self._stack.enter_context(self.broker)

    def close(self) -> None:
        self._stack.close()

    def sessions(
        self,
        *shards: int,
        protocol: Protocol = Protocol.V311,
        may_connect: Callable[[], bool] = lambda: True,
        is_started: bool = True,
    ) -> Sessions:
        """Return sessions that hold some shards, running unless whoever asks starts and stops them."""
        access = BrokerAccess(self.broker.host, self.broker.port, protocol, self.files.ca, self.files.agent_tls_key)
        made = Sessions(access, self.files, TENANT, may_connect, now)
        made.hold(frozenset(shards))
        if is_started:
            made.start()
            self._stack.callback(made.stop)
        return made

    def speaker(self, device: DeviceId) -> Speaker:
        """Connect as a device."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, device)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        issued = self.authority.sign_device(csr.public_bytes(serialization.Encoding.PEM).decode(), device, 1, now())
        own = Issued(self._folder / f"{device}.crt", self._folder / f"{device}.key")
        own.certificate.write_text(issued.pem)
        form = serialization.PrivateFormat.PKCS8
        own.key.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
        return self._stack.enter_context(Speaker(self.broker, self.files.ca, own, client_id=device))

    def says(self, number: int, *payloads: bytes) -> None:
        """Have a device of a shard say something on its record topic."""
        device = device_of(number)
        speaker = self.speaker(device)
        for payload in payloads:
            speaker.say(topics.up(TENANT, device, Up.RECORD), payload)


def heard(sessions: Sessions, count: int) -> list[Letter]:
    """Return the next letters, so many."""
    found: list[Letter] = []
    end = time.monotonic() + WITHIN_S
    while len(found) < count:
        found += sessions.inbox.gather(count - len(found), within_s=0.2)
        assert time.monotonic() < end, f"heard {len(found)} instead of {count}"
    return found

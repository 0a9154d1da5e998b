"""The device CA that the sync agent owns, and the keys of the sync agent itself.

Everything lies in one folder, each file readable for its owner only. The CA signs the certificates of broker and door, of the
sync agent's sessions, one a shard, and of the devices. Receipts are signed with a separate Ed25519 key, personal parts are sealed
to an X25519 key. How each of them follows the one before it: `sync_agent/fleet/keyring.py`.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, overload

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.jwk import OKPKey

from sync_agent.contract.topics import SHARDS, DeviceId
from sync_agent.fleet.certificates import BadRequest, Issued, Issuer, Revoked, pem, requested_key, revocation_lists
from sync_agent.fleet.keyring import AuthorityFault, Keyring, Place, Ring, Which, own_key, write

__all__ = ["RESERVED", "Authority", "AuthorityFault", "BadRequest", "Files", "Revoked", "establish", "load", "session_name"]

RESERVED: Final = "sync-agent"
"""How the common names of the sync agent's sessions begin. No device may be given a name that begins so."""

_OWN_DAYS: Final = 365
_RENEWED: Final = timedelta(days=30)
"""Our own certificates are made new this long before they end."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where everything lies; what the broker and the connection to it are given."""

    folder: Path

    @property
    def ca(self) -> Path:
        """Certificates of every CA that holds; two during a change."""
        return self.folder / "ca.crt"

    @property
    def revoked(self) -> Path:
        """Revocation list of each of them, PEM."""
        return self.folder / "ca.crl"

    @property
    def broker_certificate(self) -> Path:
        """The broker's certificate."""
        return self.folder / "broker.crt"

    @property
    def broker_key(self) -> Path:
        """The broker's private key."""
        return self.folder / "broker.key"

    @property
    def door_certificate(self) -> Path:
        """The certificate of the enrolment door."""
        return self.folder / "door.crt"

    @property
    def door_key(self) -> Path:
        """Its private key."""
        return self.folder / "door.key"

    @property
    def agent_tls_key(self) -> Path:
        """The private key of every session's certificate."""
        return self.folder / "sync-agent.key"

    def session_certificate(self, shard: int) -> Path:
        """The certificate that the session of a shard shows to the broker; its key is `agent_tls_key`."""
        return self.folder / "sessions" / f"{shard:02d}.crt"

    @property
    def receipt_key(self) -> Path:
        """The private key that signs receipts."""
        return self.folder / "receipt.pem"

    @property
    def registry_key(self) -> Path:
        """The private key that personal parts are sealed to."""
        return self.folder / "registry.pem"


class Authority:
    """The CA and the sync agent's own keys, read again when a file has changed. Use `establish` or `load`. From any thread.

    Attributes:
        files: where they lie.
        keyring: brings one key after another in force.
    """

    def __init__(self, files: Files) -> None:
        """Read the keys.

        Raises:
            AuthorityFault: there are none, or a file cannot be read.
        """
        self.files = files
        self.keyring = Keyring(files.folder)
        mark = self._mark()
        self._read = (mark, self.keyring.read())

    @property
    def ring(self) -> Ring:
        """All keys as they are now."""
        mark = self._mark()
        held, ring = self._read
        if mark != held:
            ring = self.keyring.read()
            self._read = (mark, ring)
        return ring

    @property
    def receipt_key(self) -> OKPKey:
        """The private Ed25519 key that signs receipts."""
        return self.ring.agent[Place.IN_FORCE]

    @property
    def registry_key(self) -> OKPKey:
        """The private X25519 key that personal parts are sealed to."""
        return self.ring.registry[Place.IN_FORCE]

    @property
    def registry_keys(self) -> Sequence[OKPKey]:
        """Every private X25519 key that a personal part may be sealed to, that in force first; as they are when it is read."""
        return _Live(lambda: tuple(self.ring.registry.values()))

    @property
    def agent_keys(self) -> tuple[OKPKey, ...]:
        """Every private Ed25519 key that devices believe or are to believe, that in force first."""
        return tuple(self.ring.agent.values())

    @property
    def certificate(self) -> str:
        """The certificate of each CA that holds, PEM: what devices are told to trust."""
        return "".join(pem(issuer.certificate) for issuer in self.ring.ca.values())

    @property
    def issuer(self) -> str:
        """SHA-256 of the certificate of the CA in force, hexadecimal."""
        return self.ring.names(Which.CA)[Place.IN_FORCE]

    def sign_device(self, csr: str, device: DeviceId, days: int, now: datetime) -> Issued:
        """Sign the request of a device.

        Args:
            csr: PEM; only its public key is taken over.
            device: the common name, which the request must carry too.
            days: life of the certificate.
            now: begin of it.

        Raises:
            BadRequest: the request does not fit, or the name is kept for the sync agent.
        """
        if device.startswith(RESERVED):
            raise BadRequest(f"{device!r} is a name kept for the sync agent. Give the device another.")
        return self._issuer.sign(requested_key(csr, device), device, days, now)

    def sign_for_eviction(self, key: ec.EllipticCurvePublicKey, device: DeviceId, now: datetime) -> str:
        """Return a certificate in the name of a device for ourselves, PEM: with it we take over its session and end it."""
        return self._issuer.sign(key, device, 1, now).pem

    def write_revocation_list(self, revoked: Iterable[Revoked], days: int, now: datetime) -> None:
        """Write the lists the broker refuses clients by, one of each CA; it must read them again afterwards (SIGHUP).

        Args:
            revoked: every certificate that holds no longer, whichever CA signed it.
            days: life of the lists; past it the broker refuses everybody.
            now: begin of them.
        """
        every = list(revoked)
        lists = [issuer.list_revoked(every, days, now) for issuer in self.ring.ca.values()]
        write(self.files.revoked, "".join(lists).encode())

    def listed_revoked(self) -> set[str]:
        """Return the serials that stand on the list of every CA, as they lie here; none where they cannot be read."""
        try:
            lists = revocation_lists(self.files.revoked.read_bytes())
        except (OSError, ValueError):
            return set()
        return set.intersection(*({f"{entry.serial_number:x}" for entry in each} for each in lists)) if lists else set()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have what is made from the registry and kept in the folder made by one process at a time, for the block."""
        handle = os.open(self.files.folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    def certify_own(self, names: Sequence[str], now: datetime) -> bool:
        """Make the certificates of broker and door, where they are not there, end soon or are not as they should be.

        Args:
            names: further names and addresses of broker and door, beside localhost and 127.0.0.1.
            now: begin of what is signed.

        Returns:
            Whether one was made: then the broker must read it.
        """
        hosts = list(dict.fromkeys(["localhost", "127.0.0.1", *names]))
        files, is_new = self.files, False
        for path, key_file in ((files.broker_certificate, files.broker_key), (files.door_certificate, files.door_key)):
            public = own_key(key_file).public_key()
            held = _held(path)
            if held is None or not self._issuer.is_good(held, public, hosts, now + _RENEWED):
                write(path, self._issuer.sign(public, hosts[0], _OWN_DAYS, now, hosts=hosts).pem.encode())
                is_new = True
        return is_new

    def certify_sessions(self, now: datetime) -> None:
        """Make the certificate of each shard's session, where it is missing or ends soon: the broker takes client ids from it."""
        files = self.files
        files.session_certificate(0).parent.mkdir(exist_ok=True, mode=0o700)
        public = own_key(files.agent_tls_key).public_key()
        for shard in range(SHARDS):
            path = files.session_certificate(shard)
            held = _held(path)
            if held is None or not self._issuer.is_good(held, public, [], now + _RENEWED):
                write(path, self._issuer.sign(public, session_name(shard), _OWN_DAYS, now).pem.encode())

    @property
    def _issuer(self) -> Issuer:
        return self.ring.ca[Place.IN_FORCE]

    def _mark(self) -> tuple[tuple[int, int], ...]:
        """Return what differs when a key has changed."""
        return tuple(_stamp(path) for path in self.keyring.files())


class _Live(Sequence[OKPKey]):
    """Keys as they are at each look: who holds on to them need not be told of a change."""

    def __init__(self, read: Callable[[], tuple[OKPKey, ...]]) -> None:
        self._read = read

    def __len__(self) -> int:
        return len(self._read())

    @overload
    def __getitem__(self, at: int) -> OKPKey: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[OKPKey]: ...
    def __getitem__(self, at: int | slice) -> OKPKey | Sequence[OKPKey]:
        return self._read()[at]

    def __iter__(self) -> Iterator[OKPKey]:
        return iter(self._read())


def session_name(shard: int) -> str:
    """Return the common name, and with it the client id, of the session that hears one shard."""
    return f"{RESERVED}-{shard:02d}"


def establish(folder: Path, names: Sequence[str], now: datetime) -> Authority:
    """Make what is not there yet: CA, certificates of broker and door, the sync agent's keys. Its sessions' come when it starts.

    Certificates of these two that end within 30 days, or name other hosts than asked for, are made new; keys never are.

    Args:
        folder: where everything is kept, mode 0700.
        names: further names and addresses of broker and door, beside localhost and 127.0.0.1.
        now: begin of what is signed.

    Raises:
        AuthorityFault: a file that is there cannot be read.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder.chmod(0o700)
    Keyring(folder).establish(now)
    authority = load(folder)
    authority.certify_own(names, now)
    return authority


def load(folder: Path) -> Authority:
    """Read an established authority.

    Raises:
        AuthorityFault: there is none, or a file cannot be read.
    """
    return Authority(Files(folder))


def _held(path: Path) -> x509.Certificate | None:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_mtime_ns, found.st_ino

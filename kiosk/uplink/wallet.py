"""The identity in use: read again when it has changed on the disk, and changed whole: certificate, record key, whom to believe.

`kiosk run` and `kiosk uplink` each have a wallet on the same folder; only the uplink changes anything.
"""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from cryptography import x509
from joserfc.jwk import OKPKey

from kiosk.uplink import identity
from kiosk.uplink.identity import Identity, State
from sync_agent.contract.enrolment import Renewed, fingerprint
from sync_agent.contract.topics import DeviceId, Tenant
from sync_agent.contract.trust import Trust

log = structlog.get_logger(__name__)

_NEXT_TLS: Final = "next-tls"
_NEXT_RECORD: Final = "next-record"

_Mark = tuple[tuple[int, int], ...]


class WrongAnswer(Exception):
    """What the centre answered does not belong to what was asked. Code ID-02: nothing was changed, it is asked again."""

    code = "ID-02"


class Wallet:
    """Who the device is now. May be read from any thread."""

    def __init__(self, folder: Path) -> None:
        """Open the identity.

        Raises:
            NotEnrolled: there is none.
        """
        self._folder = folder
        self._tries = 0
        self._changing = threading.Lock()
        self._read: tuple[_Mark, Identity] = (self._mark(), identity.load(folder))

    @property
    def current(self) -> Identity:
        """The identity in force, of one piece."""
        mark = self._mark()
        held, known = self._read
        if mark != held:
            known = identity.load(self._folder)
            self._read = (mark, known)
        return known

    @property
    def tenant(self) -> Tenant:
        """Operator of the devices."""
        return self.current.tenant

    @property
    def device(self) -> DeviceId:
        """Name of the device."""
        return self.current.device

    @property
    def site(self) -> str:
        """Where it was enrolled to stand."""
        return self.current.site

    @property
    def signing_key(self) -> OKPKey:
        """Private Ed25519 record key."""
        return self.current.signing_key

    @property
    def agent_keys(self) -> tuple[OKPKey, ...]:
        """Public Ed25519 keys that may sign receipts."""
        return self.current.agent_keys

    @property
    def registry_key(self) -> OKPKey:
        """Public X25519 key that personal parts are sealed to."""
        return self.current.registry_key

    @property
    def trust(self) -> int:
        """Number of the trust list in force."""
        return self.current.trust

    @property
    def attestation(self) -> str:
        """Base64: the agent's word that the record key is this device's."""
        return self.current.attestation

    def to_connect(self) -> Identity:
        """Return what to connect with next: every second time the former certificate while the new one never connected."""
        former = identity.state_of(self._folder).former_tls
        self._tries += 1
        known = self.current
        if not former or self._tries % 2:
            return known
        return replace(known, certificate=self._folder / f"{former}.crt", tls_key=self._folder / f"{former}.pem")

    def connected(self, used: Identity) -> None:
        """Learn that the broker has let us in: once it has with the new certificate, the former one is thrown away."""
        self._tries = 0
        with self._changing:
            state = identity.state_of(self._folder)
            if state.former_tls and used.certificate.stem == state.tls:
                identity.write_state(self._folder, state.model_copy(update={"former_tls": ""}))
                self._remove(f"{state.former_tls}.crt", f"{state.former_tls}.pem")
                log.info("identity.certificate-proven")

    def certificate(self) -> x509.Certificate:
        """Return the certificate in force."""
        return x509.load_pem_x509_certificate(self.current.certificate.read_bytes())

    def is_of_former_authority(self) -> bool:
        """Tell whether the certificate in force is of another authority than the one that is in force."""
        known = self.current
        if not known.issuer:
            return False
        authorities = x509.load_pem_x509_certificates(known.ca.read_bytes())
        now = next((each for each in authorities if fingerprint(each) == known.issuer), None)
        return now is not None and self.certificate().issuer != now.subject

    def believed_since(self) -> datetime:
        """Return when the trust list in force was signed."""
        trust = identity.state_of(self._folder).trust
        return trust.at if trust is not None else self.certificate().not_valid_before_utc

    def has_next_record_key(self) -> bool:
        """Tell whether a record key was made that the centre may have registered without our hearing of it."""
        return (self._folder / f"{_NEXT_RECORD}.pem").exists()

    def next_request(self) -> str:
        """Return a certificate request for the next TLS key, PEM; the same key until it has its certificate."""
        return identity.certificate_request(identity.own_tls_key(self._folder / f"{_NEXT_TLS}.pem"), self.device)

    def next_record_key(self) -> OKPKey:
        """Return the private record key that is to follow; the same until the centre has registered it."""
        return identity.own_record_key(self._folder / f"{_NEXT_RECORD}.pem")

    def renew(self, renewed: Renewed) -> None:
        """Put the certificate, and the record key if the centre has registered it, in force.

        Raises:
            WrongAnswer: certificate or record key are not those that were asked for.
        """
        with self._changing:
            self._renew(renewed)

    def _renew(self, renewed: Renewed) -> None:
        state = identity.state_of(self._folder)
        next_tls = self._folder / f"{_NEXT_TLS}.pem"
        try:
            certificate = x509.load_pem_x509_certificate(renewed.certificate.encode())
        except ValueError as err:
            raise WrongAnswer("the centre's answer holds no certificate") from err
        if certificate.public_key() != identity.own_tls_key(next_tls).public_key():
            raise WrongAnswer("the certificate is for another key than the one that was asked for")
        tls, record = f"tls-{certificate.serial_number:x}"[:20], self._registered(state, renewed.record_key)
        identity.write(self._folder / f"{tls}.pem", next_tls.read_bytes())
        identity.write(self._folder / f"{tls}.crt", renewed.certificate.encode())
        # Of two before it, that which has connected is kept; the same again after a power cut replaces nothing.
        former = state.former_tls or (state.tls if tls != state.tls else "")
        changes = {"tls": tls, "former_tls": former, "record": record, "attestation": renewed.attestation}
        identity.write_state(self._folder, state.model_copy(update=changes))
        self._remove(f"{_NEXT_TLS}.pem")
        if state.tls not in (tls, former):
            self._remove(f"{state.tls}.crt", f"{state.tls}.pem")
        if record != state.record:
            self._remove(f"{_NEXT_RECORD}.pem", f"{state.record}.pem")
        log.info("identity.renewed", until=certificate.not_valid_after_utc.isoformat(), new_record_key=record != state.record)

    def believe(self, trust: Trust) -> None:
        """Put a trust list in force; its signature was checked. One that is not higher than that in force is left."""
        with self._changing:
            state = identity.state_of(self._folder)
            if state.trust is not None and trust.number <= state.trust.number:
                return
            ca = f"ca-{trust.number}.crt"
            identity.write(self._folder / ca, trust.ca.encode())
            identity.write_state(self._folder, state.model_copy(update={"trust": trust, "ca": ca}))
            if state.ca != ca:
                self._remove(state.ca)

    def _registered(self, state: State, kid: str) -> str:
        """Return the name of the record key that the centre says is in force.

        Raises:
            WrongAnswer: this device has no such key.
        """
        if kid == self.signing_key.thumbprint():
            return state.record
        fresh = self._folder / f"{_NEXT_RECORD}.pem"
        if not fresh.exists() or OKPKey.import_key(fresh.read_bytes()).thumbprint() != kid:
            raise WrongAnswer("the centre names a record key that is not this device's")
        name = f"record-{kid[:16]}"
        identity.write(self._folder / f"{name}.pem", fresh.read_bytes())
        return name

    def _remove(self, *names: str) -> None:
        for name in names:
            (self._folder / name).unlink(missing_ok=True)

    def _mark(self) -> _Mark:
        """Return what differs when the identity was changed."""
        return tuple(_stamp(self._folder / name) for name in (identity.STATE, identity.ANSWER))


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except FileNotFoundError:
        return (0, 0)
    return found.st_mtime_ns, found.st_ino

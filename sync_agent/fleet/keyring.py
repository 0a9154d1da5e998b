"""The private keys that the sync agent goes on from one to the next, as files: in force, staged to follow, or former.

A change has three steps, and both keys hold in between: *stage* makes the new key, so that devices learn of it; *promote* puts it
in force and keeps the one before it as former; *retire* takes the former one away. One change of a kind at a time. Each step can
be repeated after a crash at any point of it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from sync_agent.fleet.certificates import Issuer, pem, self_signed

CA_DAYS: Final = 3650


class AuthorityFault(Exception):
    """The folder of keys cannot be used. Code CA-01; the text says which file and what to do."""

    code = "CA-01"


class WrongStep(Exception):
    """A key cannot take that step now. Code KEY-01; the text says why and what to do."""

    code = "KEY-01"


class Which(StrEnum):
    """The keys that devices rely on."""

    AGENT = "agent"
    """Signs receipts and trust lists."""
    REGISTRY = "registry"
    """Personal parts are sealed to it."""
    CA = "ca"
    """Signs the certificates of devices, broker and agent."""


class Place(StrEnum):
    """Where in its change a key is."""

    IN_FORCE = "in-force"
    STAGED = "staged"
    FORMER = "former"


_STEM: Final = {Which.AGENT: "receipt", Which.REGISTRY: "registry", Which.CA: "ca"}
_INFIX: Final = {Place.IN_FORCE: "", Place.STAGED: ".staged", Place.FORMER: ".former"}


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys as they were read at one moment; a place without a key is absent."""

    agent: dict[Place, OKPKey]
    registry: dict[Place, OKPKey]
    ca: dict[Place, Issuer]

    def names(self, which: Which) -> dict[Place, str]:
        """Return the key of each place by its name: thumbprint, or SHA-256 of the authority's certificate."""
        match which:
            case Which.CA:
                return {place: issuer.certificate.fingerprint(hashes.SHA256()).hex() for place, issuer in self.ca.items()}
            case Which.AGENT:
                return {place: key.thumbprint() for place, key in self.agent.items()}
            case Which.REGISTRY:
                return {place: key.thumbprint() for place, key in self.registry.items()}


class Keyring:
    """The files of the keys, below the folder of keys."""

    def __init__(self, folder: Path) -> None:
        """Name the folder; nothing is read yet."""
        self._folder = folder

    @property
    def bundle(self) -> Path:
        """Certificates of every authority that holds, PEM; what broker, agent and devices trust."""
        return self._folder / "ca.crt"

    def file(self, which: Which, place: Place) -> Path:
        """Return where a private key lies."""
        return self._folder / f"{_STEM[which]}{_INFIX[place]}.{'key' if which is Which.CA else 'pem'}"

    def files(self) -> Iterator[Path]:
        """Return every file that a ring is read from, there or not."""
        yield self.bundle
        for which in Which:
            for place in Place:
                yield self.file(which, place)

    def establish(self, now: datetime) -> None:
        """Make the keys in force that are not there yet."""
        self._make(Which.AGENT, Place.IN_FORCE, now)
        self._make(Which.REGISTRY, Place.IN_FORCE, now)
        self._make(Which.CA, Place.IN_FORCE, now)

    def read(self) -> Ring:
        """Read all keys.

        Raises:
            AuthorityFault: one in force is missing, or a file cannot be read.
        """
        okp = {which: {place: jwk(path) for place, path in self._held(which)} for which in (Which.AGENT, Which.REGISTRY)}
        certificates = self._certificates()
        issuers = {}
        for place, path in self._held(Which.CA):
            key = private_key(path)
            own = [certificate for certificate in certificates if certificate.public_key() == key.public_key()]
            if own:
                issuers[place] = Issuer(own[0], key)
            elif place is Place.IN_FORCE:
                raise spoilt(self.bundle)
        return Ring(okp[Which.AGENT], okp[Which.REGISTRY], issuers)

    def stage(self, which: Which, now: datetime) -> None:
        """Make the key that is to follow.

        Raises:
            WrongStep: one is staged already, or a former one is not yet retired.
        """
        ring = self.read().names(which)
        if Place.STAGED in ring:
            raise WrongStep(f"a new {which} key is staged already. Promote it: sync-agent keys promote {which}")
        if Place.FORMER in ring:
            raise WrongStep(f"the former {which} key still holds. Retire it first: sync-agent keys retire {which}")
        self._make(which, Place.STAGED, now)

    def promote(self, which: Which) -> None:
        """Put the staged key in force; the one before it becomes the former.

        Raises:
            WrongStep: none is staged.
        """
        staged, in_force, former = (self.file(which, place) for place in (Place.STAGED, Place.IN_FORCE, Place.FORMER))
        if Place.STAGED not in self.read().names(which):
            raise WrongStep(f"no {which} key is staged. Stage one first: sync-agent keys stage {which}")
        write(former, read(in_force))
        staged.replace(in_force)

    def retire(self, which: Which) -> None:
        """Take the former key away. A registry's key is kept in the folder `retired`: evidence stays sealed to it.

        Raises:
            WrongStep: there is no former key, or the change is not finished.
        """
        names = self.read().names(which)
        if Place.FORMER not in names or Place.STAGED in names:
            raise WrongStep(f"there is no former {which} key to retire. `sync-agent keys list` shows those there are.")
        former = self.file(which, Place.FORMER)
        if which is Which.REGISTRY:
            kept = self._folder / "retired"
            kept.mkdir(exist_ok=True, mode=0o700)
            write(kept / f"registry-{names[Place.FORMER][:16]}.pem", read(former))
        if which is Which.CA:
            gone = private_key(former).public_key()
            self._write_bundle([each for each in self._certificates() if each.public_key() != gone])
        former.unlink()

    def drop(self, which: Which, place: Place) -> None:
        """Throw a key away that is not in force.

        Raises:
            WrongStep: it is in force, or signs certificates or opens records, which others still need.
        """
        if place is Place.IN_FORCE or which is not Which.AGENT:
            raise WrongStep(f"the {which} key cannot be thrown away. Let another follow: sync-agent keys stage {which}")
        self.file(which, place).unlink(missing_ok=True)

    def _make(self, which: Which, place: Place, now: datetime) -> None:
        path = self.file(which, place)
        if which is not Which.CA:
            if not path.exists():
                fresh = OKPKey.generate_key("Ed25519" if which is Which.AGENT else "X25519")
                write(path, fresh.as_pem(private=True))
            return
        if place is Place.IN_FORCE and self.bundle.exists():
            private_key(path)  # an authority that has lost its key is restored from its backup, never made new beside the old one
        key = own_key(path)
        known = self._certificates() if self.bundle.exists() else []
        if all(each.public_key() != key.public_key() for each in known):
            # A name of its own: who looks an issuer up by its name must not find the other one.
            mark = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:8]
            self._write_bundle([*known, self_signed(key, f"Renzheng device CA {mark}", CA_DAYS, now)])

    def _held(self, which: Which) -> Iterator[tuple[Place, Path]]:
        for place in Place:
            path = self.file(which, place)
            if place is Place.IN_FORCE or path.exists():
                yield place, path

    def _certificates(self) -> list[x509.Certificate]:
        try:
            return x509.load_pem_x509_certificates(read(self.bundle))
        except ValueError as err:
            raise spoilt(self.bundle) from err

    def _write_bundle(self, certificates: list[x509.Certificate]) -> None:
        write(self.bundle, "".join(map(pem, certificates)).encode())


def own_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Return the private P-256 key in a file; made there where there is none."""
    if not path.exists():
        fresh = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        write(path, fresh.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return private_key(path)


def private_key(path: Path) -> ec.EllipticCurvePrivateKey:
    """Read a private P-256 key.

    Raises:
        AuthorityFault: there is none in the file.
    """
    content = read(path)
    try:
        key = serialization.load_pem_private_key(content, None)
    except ValueError as err:
        raise spoilt(path) from err
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise spoilt(path)
    return key


def jwk(path: Path) -> OKPKey:
    """Read a private Ed25519 or X25519 key.

    Raises:
        AuthorityFault: there is none in the file.
    """
    content = read(path)
    try:
        return OKPKey.import_key(content)
    except (JoseError, ValueError) as err:
        raise spoilt(path) from err


def spoilt(path: Path) -> AuthorityFault:
    """Return what is raised when a file holds something else."""
    return AuthorityFault(f"{path.name!r} does not hold what it should. Restore the folder of keys from its backup.")


def read(path: Path) -> bytes:
    """Return what a file of the folder holds.

    Raises:
        AuthorityFault: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as err:
        raise AuthorityFault(f"{str(path)!r} cannot be read ({err.strerror}). Run `sync-agent device init`.") from err


def write(path: Path, content: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")  # several sync agents may share the folder
    with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)

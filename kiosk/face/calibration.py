"""A site's calibration: what people who consented taught about scores and thresholds there, in an encrypted file.

It is made by `kiosk cohort build`, for one pack and one kind of portrait. Vectors of people are biometric data even without
names: the file is AES-256-GCM under a key that is made on the device and stands in a file that only its owner can read. What is
copied without that key is nothing. Without a usable calibration the pack's own thresholds hold, and the kiosk says so.

Layout: mark, 8 bytes that name the key, 12 bytes nonce, then the encrypted CBOR of `_Stored`; mark and name are authenticated.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import ClassVar, Final, Literal, Self

import cbor2
import numpy as np
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from kiosk.face.embed import Vector
from kiosk.face.scoring import NEAREST, OF_COHORT, Population, Scale, Vectors
from models.evaluation import Rate
from models.spec import BandSpec, Fraction, Sha256
from sync_agent.contract.kinds import Condition, Scoring

LEAST_PEOPLE: Final = 2 * (NEAREST + 2)
"""Each half of an evaluation holds the nearest that a cohort needs, and somebody further away."""

_MARK: Final = b"renzheng calibration 1\n"
_KEY_BYTES: Final = 32
_NAME_BYTES: Final = 8
_NONCE_BYTES: Final = 12
_MOST_BYTES: Final = 64 * 1024 * 1024
_MOST_LENGTH: Final = 4096


class CalibrationFault(StrEnum):
    """Why a calibration cannot be used."""

    UNREADABLE = "unreadable"
    NO_KEY = "no-key"
    WRONG_KEY = "wrong-key"
    DAMAGED = "damaged"
    WRONG_PACK = "wrong-pack"
    WRONG_CONDITION = "wrong-condition"
    TOO_FEW = "too-few"
    NO_CONSENT = "no-consent"


class BadCalibration(Exception):
    """A calibration cannot be used: which, why, and what to do. Permanent until somebody mends it. Code FACE-05."""

    code: ClassVar[str] = "FACE-05"

    def __init__(self, fault: CalibrationFault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


class Tried(BaseModel):
    """What one scoring gave on people it was not calibrated on."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scoring: Scoring
    fmr: float = Field(gt=0, lt=1, description="False-match rate at which it was judged.")
    fnmr: Rate
    eer: Fraction


class Summary(BaseModel):
    """What the calibration rests on.

    Attributes:
        photos: photos with a usable face, portraits not counted.
        failures: pictures without one.
        tried: every scoring, on halves with disjoint people; counts are over all splits.
        fmr, frr: of the scoring chosen at `accept_at`, each pair held against people other than its own.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    photos: int
    failures: int
    tried: tuple[Tried, ...]
    fmr: Rate
    frr: Rate


@dataclass(frozen=True, slots=True)
class Calibration:
    """A calibration, opened.

    Attributes:
        at: when it was made.
        pack_sha256: the pack it is of.
        condition: the kind of portrait it is for; others go by the pack.
        scoring: the way in force.
        people: how many consented.
        population: whom faces are held against; people's vectors only where the scoring needs them.
        band: thresholds for this scoring.
        summary: what it rests on.
        sha256: of the file; what records name. Empty before it is written.
    """

    at: AwareDatetime
    pack_sha256: str
    condition: Condition
    scoring: Scoring
    people: int
    population: Population
    band: BandSpec
    summary: Summary
    sha256: str = ""


class _Stored(BaseModel):
    """What is encrypted. Vectors are little-endian float32, one person after the other."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    format: Literal[1] = 1
    at: AwareDatetime
    pack_sha256: Sha256
    condition: Condition
    scoring: Scoring
    people: int = Field(ge=1)
    length: int = Field(ge=1, le=_MOST_LENGTH)
    portrait_mean: bytes
    probe_mean: bytes
    portraits: bytes
    probes: bytes
    band: BandSpec
    summary: Summary

    @classmethod
    def of(cls, calibration: Calibration) -> Self:
        keeps = calibration.scoring in OF_COHORT
        population = calibration.population
        return cls(
            at=calibration.at,
            pack_sha256=calibration.pack_sha256,
            condition=calibration.condition,
            scoring=calibration.scoring,
            people=calibration.people,
            length=len(population.portrait_mean),
            portrait_mean=_bytes(population.portrait_mean),
            probe_mean=_bytes(population.probe_mean),
            portraits=_bytes(population.portraits if keeps else None),
            probes=_bytes(population.probes if keeps else None),
            band=calibration.band,
            summary=calibration.summary,
        )

    def opened(self, sha256: str) -> Calibration:
        """Return the calibration.

        Raises:
            ValueError: the vectors are not what the rest says.
        """
        means = [_vectors(each, self.length) for each in (self.portrait_mean, self.probe_mean)]
        if any(len(mean) != 1 for mean in means):
            raise ValueError("a mean is one vector")
        portraits, probes = (_vectors(each, self.length) if each else None for each in (self.portraits, self.probes))
        population = Population(means[0][0], means[1][0], portraits, probes)
        Scale(self.scoring, population)  # has all it needs
        return Calibration(
            self.at,
            self.pack_sha256,
            self.condition,
            self.scoring,
            self.people,
            population,
            self.band,
            self.summary,
            sha256,
        )


def key_beside(path: Path) -> Path:
    """Return where the key of a calibration lies when nobody says otherwise."""
    return path.with_name(path.name + ".key")


def write(calibration: Calibration, path: Path, key: Path) -> str:
    """Write a calibration whole or not at all, for its owner alone; return the SHA-256 that records will name.

    Args:
        calibration: what to write; people's vectors are left out where the scoring does not need them.
        path: replaced when it is there.
        key: file of the key; made where there is none.

    Raises:
        BadCalibration: the key file is not one.
        OSError: a file cannot be written.
    """
    secret = _key(key) if key.exists() else _new_key(key)
    plain = cbor2.dumps(_Stored.of(calibration).model_dump())
    head = _MARK + _name(secret)
    nonce = os.urandom(_NONCE_BYTES)
    sealed = head + nonce + AESGCM(secret).encrypt(nonce, plain, head)
    _put(path, sealed)
    return hashlib.sha256(sealed).hexdigest()


def load(path: Path, key: Path, pack_sha256: str) -> Calibration:
    """Open a calibration.

    Args:
        path: the file.
        key: file of its key.
        pack_sha256: the pack in force.

    Raises:
        BadCalibration: it cannot be used, and why.
    """
    remedy = "Until it is mended the pack's own thresholds hold. Make it again with: kiosk cohort build"
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as err:
        text = f"calibration {str(path)!r} cannot be read: {err.strerror}. {remedy}"
        raise BadCalibration(CalibrationFault.UNREADABLE, text) from err
    damaged = BadCalibration(
        CalibrationFault.DAMAGED, f"calibration {str(path)!r} is damaged, or no calibration of this release. {remedy}"
    )
    body = len(_MARK) + _NAME_BYTES + _NONCE_BYTES
    if not data.startswith(_MARK) or not body < len(data) <= _MOST_BYTES:
        raise damaged
    secret = _key(key)
    if data[len(_MARK) : body - _NONCE_BYTES] != _name(secret):
        text = f"calibration {str(path)!r} is under another key than {str(key)!r}. Bring the key of the device it was made on"
        raise BadCalibration(CalibrationFault.WRONG_KEY, text)
    try:
        inner = AESGCM(secret).decrypt(data[body - _NONCE_BYTES : body], data[body:], data[: body - _NONCE_BYTES])
        stored = _Stored.model_validate(cbor2.loads(inner))
        opened = stored.opened(hashlib.sha256(data).hexdigest())
    except (InvalidTag, cbor2.CBORDecodeError, ValidationError, ValueError) as err:
        raise damaged from err
    if opened.pack_sha256 != pack_sha256:
        text = f"calibration {str(path)!r} is of another pack, or another version of it, than the one in force. {remedy}"
        raise BadCalibration(CalibrationFault.WRONG_PACK, text)
    if opened.people < LEAST_PEOPLE:
        text = f"calibration {str(path)!r} is of {opened.people} people; {LEAST_PEOPLE} are needed. {remedy}"
        raise BadCalibration(CalibrationFault.TOO_FEW, text)
    return opened


def _new_key(path: Path) -> bytes:
    secret = AESGCM.generate_key(8 * _KEY_BYTES)
    _put(path, secret)
    return secret


def _key(path: Path) -> bytes:
    """Read a key.

    Raises:
        BadCalibration: there is none.
    """
    try:
        secret = path.read_bytes()
    except OSError as err:
        text = f"the key of the calibration, {str(path)!r}, cannot be read: {err.strerror}. Bring it back, or calibrate again"
        raise BadCalibration(CalibrationFault.NO_KEY, text) from err
    if len(secret) != _KEY_BYTES:
        text = f"{str(path)!r} is not the key of a calibration: it has {len(secret)} bytes, not {_KEY_BYTES}"
        raise BadCalibration(CalibrationFault.NO_KEY, text)
    return secret


def _name(secret: bytes) -> bytes:
    """Return what tells a wrong key from a damaged file; nothing of the key can be learnt from it."""
    return hashlib.sha256(_MARK + secret).digest()[:_NAME_BYTES]


def _put(path: Path, data: bytes) -> None:
    """Write a file for its owner alone, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _bytes(vectors: Vector | Vectors | None) -> bytes:
    return b"" if vectors is None else vectors.astype("<f4").tobytes()


def _vectors(data: bytes, length: int) -> Vectors:
    vectors = np.frombuffer(data, dtype="<f4").reshape(-1, length).astype(np.float32)
    if not np.isfinite(vectors).all():
        raise ValueError("a vector holds something else than numbers")
    return vectors

"""What the face worker reports: one glimpse a frame, and the cause when a frame is of no use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class QualityCause(StrEnum):
    """Why a frame cannot be used, each with something the person can do about it."""

    NO_FACE = "no-face"
    TWO_FACES = "two-faces"
    TOO_FAR = "too-far"
    TOO_NEAR = "too-near"
    OFF_CENTRE = "off-centre"
    TOO_DARK = "too-dark"
    TOO_BRIGHT = "too-bright"
    BLURRED = "blurred"
    TURNED = "turned"


@dataclass(frozen=True, slots=True)
class Box:
    """A face in a frame, as fractions (0 to 1) of the frame's width and height."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Glimpse:
    """What one frame gave.

    Attributes:
        frame: number of the frame.
        box: the face, or None where there is none or no single one.
        cause: why the frame is of no use, or None.
        distance: Euclidean distance to the reference where the frame was of use.
    """

    frame: int
    box: Box | None
    cause: QualityCause | None
    distance: float | None


class FaceFault(Exception):
    """The face worker cannot work. Code FACE-01: not running; FACE-02: model file missing or not the one it should be."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.message = "face.unavailable"

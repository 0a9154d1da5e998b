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
    BACK_LIT = "back-lit"
    BLURRED = "blurred"
    TURNED = "turned"
    COVERED = "covered"


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
        cause: why the frame is of no use for the decision, or None. `TURNED` frames are compared all the same, for a challenge.
        distance: how unlike the reference, by the scoring in force; the smaller, the more alike.
        plain: Euclidean distance, whatever the scoring; what the frames of a challenge are held against.
        other: `distance` against the other person of a chain, where there is one.
        points: the pack's points of the face as fractions (0 to 1) of the frame's width and height.
        yaw_deg: how far the head is turned, degrees; positive when the nose goes towards the frame's right (the person's left).
        passive: how sure the pack's passive model is that the face is alive, 0 to 1; None where the pack has none.
    """

    frame: int
    box: Box | None
    cause: QualityCause | None
    distance: float | None
    plain: float | None = None
    other: float | None = None
    points: tuple[tuple[float, float], ...] = ()
    yaw_deg: float | None = None
    passive: float | None = None


class Ask(StrEnum):
    """What the person is asked to do, as they see it themselves in the mirrored preview."""

    STRAIGHT = "straight"
    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class Step:
    """How a comparison stands, for whoever shows it.

    Attributes:
        ask: what the person is to do now.
        glimpse: the frame judged last; None before the first.
        progress: how far the whole is, 0 to 1.
    """

    ask: Ask
    glimpse: Glimpse | None
    progress: float


class LivenessCause(StrEnum):
    """Why a liveness test failed. The first five a person can do something about."""

    LATE = "too-late"
    OTHER_SIDE = "other-side"
    LOST = "face-lost"
    TWO_FACES = "two-faces"
    JUMPED = "face-jumped"
    STRANGER = "stranger"
    FLAT = "flat"
    LIFELESS = "lifeless"


class FaceFault(Exception):
    """The face worker cannot work.

    Codes: FACE-01 not running; FACE-02 a model file is missing or not the one it should be; FACE-06 a model gave no numbers.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.message = "face.unavailable"

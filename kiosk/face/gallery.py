"""Pictures in files, each turned into a vector once; what cannot be is counted by its reason. For evaluation and calibration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from kiosk.face import picture
from kiosk.face.embed import Vector
from kiosk.face.given import Image
from kiosk.face.model import NotNumbers
from kiosk.face.recogniser import Recogniser
from kiosk.face.result import QualityCause
from sync_agent.contract.kinds import Condition

CHIP_PX: Final = (102, 126)
"""Width and height of a portrait on a card's chip."""

_CHIP_QUALITY: Final = 50
"""JPEG quality that brings it to about 2 kB."""

Progress = Callable[[int, int], None]
"""Told how many pictures are done, and of how many."""


class Side(StrEnum):
    """Which side of a comparison a picture stands on."""

    PORTRAIT = "portrait"
    PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Shot:
    """A picture on one side of a comparison."""

    path: Path
    side: Side


@dataclass(frozen=True, slots=True)
class Gallery:
    """What a set of pictures gave.

    Attributes:
        vectors: of every picture with a usable face. Personal.
        lost: why each of the others has none.
    """

    vectors: dict[Shot, Vector] = field(repr=False)
    lost: dict[Shot, str] = field(repr=False)

    @property
    def failures(self) -> Counter[str]:
        """How many pictures could not be used, by reason."""
        return Counter(self.lost.values())

    @property
    def shots(self) -> int:
        """How many pictures there were."""
        return len(self.vectors) + len(self.lost)


def describe(recogniser: Recogniser, shots: Iterable[Shot], condition: Condition, progress: Progress) -> Gallery:
    """Turn pictures into vectors, each once.

    Args:
        recogniser: the pack.
        shots: which; those that occur twice are described once.
        condition: what the portraits are made to be: a chip's are reduced to what a chip holds.
        progress: told after each.
    """
    all_shots = list(dict.fromkeys(shots))
    vectors: dict[Shot, Vector] = {}
    lost: dict[Shot, str] = {}
    for done, shot in enumerate(all_shots, start=1):
        found = _vector(recogniser, shot, condition)
        if isinstance(found, str):
            lost[shot] = found
        else:
            vectors[shot] = found
        progress(done, len(all_shots))
    return Gallery(vectors, lost)


def as_on_a_chip(image: Image) -> Image:
    """Return a picture as a card's chip would hold it: the middle at 102:126, reduced, JPEG of quality 50; no larger than it was.

    Args:
        image: (height, width, 3) uint8, BGR.
    """
    height, width = image.shape[:2]
    wide, high = CHIP_PX
    if width <= wide and height <= high:
        return image
    scale = min(width / wide, height / high)
    cut_wide, cut_high = max(1, round(wide * scale)), max(1, round(high * scale))
    left, top = (width - cut_wide) // 2, (height - cut_high) // 2
    cut = image[top : top + cut_high, left : left + cut_wide]
    small = cv2.resize(cut, CHIP_PX, interpolation=cv2.INTER_AREA) if scale > 1 else cut
    stored = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, _CHIP_QUALITY])[1]
    return np.asarray(cv2.imdecode(stored, cv2.IMREAD_COLOR), dtype=np.uint8)


def _vector(recogniser: Recogniser, shot: Shot, condition: Condition) -> Vector | str:
    """Return the vector of a picture, or why it has none."""
    try:
        image = picture.read(shot.path)
    except picture.BadPicture as err:
        return err.fault.value
    is_chip = shot.side is Side.PORTRAIT and condition is Condition.CHIP
    try:
        found = recogniser.reference(as_on_a_chip(image) if is_chip else image, Condition.CHIP if is_chip else Condition.DOCUMENT)
    except NotNumbers:
        return "not-numbers"
    return found.value if isinstance(found, QualityCause) else found

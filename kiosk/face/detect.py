"""Finds faces with dlib's mmod network: a window of fixed size slid over a few reduced copies of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from kiosk.face.given import Image
from kiosk.face.model import Model
from models.spec import MmodSpec


@dataclass(frozen=True, slots=True)
class Found:
    """A square box around a face, pixels of the picture, and how sure the detector is (0 is its threshold)."""

    left: float
    top: float
    size: float
    score: float

    def overlap(self, other: Found) -> float:
        """Return how much of both boxes together they share, 0 to 1."""
        width = min(self.left + self.size, other.left + other.size) - max(self.left, other.left)
        height = min(self.top + self.size, other.top + other.size) - max(self.top, other.top)
        shared = max(0.0, width) * max(0.0, height)
        return shared / (self.size**2 + other.size**2 - shared)


class Detector:
    """The network and how its map of scores lies in the picture."""

    def __init__(self, model: Model, spec: MmodSpec) -> None:
        self._model = model
        self._spec = spec

    def sizes(self, smallest: float, largest: float) -> list[float]:
        """Return the face sizes, pixels, at which to look so that every face in between is found."""
        count = max(1, int(np.ceil(np.log(largest / smallest) / np.log(1 / self._spec.step))) + 1)
        return [smallest / self._spec.step**n for n in range(count)]

    def find(self, image: Image, sizes: Sequence[float]) -> list[Found]:
        """Return the faces in a picture, the surest first.

        Args:
            image: (height, width, 3) uint8, BGR.
            sizes: face sizes to look for, pixels; each costs one run over the picture reduced (or enlarged) to fit it.
        """
        found = [box for size in sizes for box in self._level(image, size)]
        found.sort(key=lambda box: -box.score)
        kept: list[Found] = []
        for box in found:
            if all(box.overlap(other) <= self._spec.nms_iou for other in kept):
                kept.append(box)
        return kept

    def _level(self, image: Image, size: float) -> list[Found]:
        spec = self._spec
        scale = spec.window_px / size
        height, width = round(image.shape[0] * scale), round(image.shape[1] * scale)
        if min(height, width) < spec.smallest_input_px:
            return []
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        level = np.asarray(cv2.resize(image, (width, height), interpolation=how), dtype=np.uint8)
        scores = self._model(level[None])[0, 0]
        rows, columns = np.nonzero(scores > spec.threshold)
        middles = np.stack([columns, rows]) * spec.stride + spec.offset - spec.window_px / 2
        lefts, tops = middles * np.array([[image.shape[1] / width], [image.shape[0] / height]])
        values = scores[rows, columns]
        return [Found(float(x), float(y), size, float(s)) for x, y, s in zip(lefts, tops, values, strict=True)]

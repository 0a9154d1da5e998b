"""Finds faces with dlib's mmod network: a window of fixed size slid over a few reduced copies of the picture."""

from __future__ import annotations

import cv2
import numpy as np

from kiosk.face.detect import Found
from kiosk.face.given import Image
from kiosk.face.model import Model
from models.spec import MmodSpec


class Mmod:
    """The network and how its map of scores lies in the picture."""

    def __init__(self, model: Model, spec: MmodSpec) -> None:
        self._model = model
        self._spec = spec

    def find(self, image: Image, smallest: float, largest: float) -> list[Found]:
        """Return the faces, the surest first; each size looked at costs one run. See `kiosk.face.detect.Detector`."""
        found = [box for size in self.sizes(smallest, largest) for box in self._level(image, size)]
        found.sort(key=lambda box: -box.score)
        kept: list[Found] = []
        for box in found:
            if all(box.overlap(other) <= self._spec.nms_iou for other in kept):
                kept.append(box)
        return kept

    def sizes(self, smallest: float, largest: float) -> list[float]:
        """Return the face sizes, pixels, at which to look so that every face in between is found."""
        if largest <= smallest:
            return [smallest]
        count = int(np.ceil(np.log(largest / smallest) / np.log(1 / self._spec.step))) + 1
        return [smallest / self._spec.step**n for n in range(count)]

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

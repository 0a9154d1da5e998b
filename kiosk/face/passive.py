"""Asks a network of the MiniFASNet family whether what it sees is alive: one wide cut-out in, three classes out.

Source: minivision-ai, Silent-Face-Anti-Spoofing: the cut-out is the detector's box widened by a factor and squeezed to a square,
the values are 0 to 255, and the middle class of three is a living face.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from kiosk.face.detect import Found
from kiosk.face.given import Image
from kiosk.face.model import BadModel, Model
from models.spec import MinifasnetSpec

_ALIVE: Final = 1
_CLASSES: Final = 3

_WIDE: Final = 0.93
_HIGH: Final = 1.22
"""The box these networks were trained with, forehead to chin, in widths of ours (measured with YuNet on six portraits)."""


class Passive:
    """The network and how wide it looks."""

    def __init__(self, model: Model, spec: MinifasnetSpec) -> None:
        """Try the network once.

        Raises:
            BadModel: it does not give three classes.
        """
        self._model = model
        self._spec = spec
        shape = model(np.zeros((1, spec.input_px, spec.input_px, 3), dtype=np.uint8)).shape
        if shape != (1, _CLASSES):
            raise BadModel(f"for one cut-out it gives shape {shape}, not {_CLASSES} classes")

    def __call__(self, image: Image, face: Found) -> float:
        """Return how sure it is that a face is alive, 0 to 1.

        Args:
            image: (height, width, 3) uint8, BGR.
            face: the box.

        Raises:
            NotNumbers: the network gave something else.
        """
        side = self._spec.input_px
        part = self._cut(image, face)
        values = self._model(np.asarray(cv2.resize(part, (side, side)), dtype=np.uint8)[None])[0].astype(np.float64)
        powers = np.exp(values - values.max())
        return float(powers[_ALIVE] / powers.sum())

    def _cut(self, image: Image, face: Found) -> Image:
        """Return the neighbourhood of a face, narrowed and moved so that it lies within the picture."""
        height, width = image.shape[:2]
        wide, high = _WIDE * face.size, _HIGH * face.size
        scale = min(self._spec.scale, (width - 1) / wide, (height - 1) / high)
        wide, high = wide * scale, high * scale
        left = min(max(0.0, face.left + face.size / 2 - wide / 2), width - 1 - wide)
        top = min(max(0.0, face.top + face.size / 2 - high / 2), height - 1 - high)
        left, top = max(0.0, left), max(0.0, top)
        return image[int(top) : int(top + high) + 1, int(left) : int(left + wide) + 1]

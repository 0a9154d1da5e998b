"""Turns the cut-out of a face into the vector that stands for it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from kiosk.face.given import Image
from kiosk.face.model import BadModel, Model

Vector = NDArray[np.float32]
"""(length,) float32, 128 numbers for the packs known so far. Personal: stays in the worker and ends with the visit (P05, P06)."""


class Embedder:
    """The network that describes faces."""

    def __init__(self, model: Model, side_px: int, *, only_direction: bool = False) -> None:
        """Take the network.

        Args:
            model: takes cut-outs, gives one vector each.
            side_px: width and height of a cut-out.
            only_direction: the length of its vectors says nothing (SFace). They are brought to length 1, so that Euclidean
                distance orders pairs as cosine does.

        Raises:
            BadModel: it gives something else.
        """
        self._model = model
        self._only_direction = only_direction
        shape = model(np.zeros((2, side_px, side_px, 3), dtype=np.uint8)).shape
        if len(shape) != 2 or shape[0] != 2 or shape[1] < 2:
            raise BadModel(f"for two cut-outs it gives shape {shape}, not two vectors")

    def __call__(self, chip: Image) -> Vector:
        """Return the mean vector of a face and its mirror image.

        Averaging takes a sixth of the false rejections at a false-match rate of 1e-2 (measured on LFW, East Asian names, chip).

        Args:
            chip: (size, size, 3) uint8, BGR, cut by `kiosk.face.align`.

        Raises:
            NotNumbers: the network gave something else.
        """
        both = self._model(np.stack([chip, chip[:, ::-1]]))
        if self._only_direction:
            both /= np.maximum(np.linalg.norm(both, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        vector = np.asarray(both.mean(axis=0), dtype=np.float32)
        both.fill(0)  # freed memory is not cleared by itself (P05)
        if self._only_direction:
            vector /= max(float(np.linalg.norm(vector)), float(np.finfo(np.float32).tiny))
        return vector


def distance(one: Vector, other: Vector) -> float:
    """Return the Euclidean distance of two faces; the same person is near 0, strangers near 0.7 (dlib) or 1.2 (SFace)."""
    return float(np.linalg.norm(one - other))

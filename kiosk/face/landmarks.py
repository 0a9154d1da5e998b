"""Five points of a face by dlib's shape predictor: the corners of both eyes and the base of the nose.

Source: V. Kazemi and J. Sullivan, CVPR 2014, as dlib computes it. All splits of a cascade are decided at once, then all its
trees are walked at once.
"""

from __future__ import annotations

import io
import zipfile
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kiosk.face.detect import Found, Points
from kiosk.face.given import Image
from kiosk.face.model import BadModel

_REACH: Final = 0.5
"""How far beyond the box pixels are looked at, in widths of the box; the trained shapes reach about half of that."""


class Landmarks:
    """The regression trees, laid out for numpy."""

    def __init__(self, arrays: bytes) -> None:
        """Load the arrays that `models.build.predictor` wrote.

        Raises:
            BadModel: they are others.
        """
        try:
            with np.load(io.BytesIO(arrays), allow_pickle=False) as file:
                self._mean = _complex(file["mean"])
                self._anchors = file["anchors"].astype(np.intp)
                self._deltas = _complex(file["deltas"])
                pairs = file["pairs"].astype(np.intp)
                self._thresholds = file["thresholds"]
                leaves = file["leaves"]
        except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile) as err:
            raise BadModel(f"it holds no five-point predictor ({type(err).__name__}: {err})") from None
        if self._mean.shape != (5,) or self._thresholds.ndim != 3 or pairs.shape != (*self._thresholds.shape, 2):
            raise BadModel("its arrays are not those of a five-point predictor")
        self._first, self._second = np.ascontiguousarray(pairs[..., 0]), np.ascontiguousarray(pairs[..., 1])
        cascades, splits, trees = self._thresholds.shape
        self._leaves = _complex(leaves.reshape(cascades, trees * (splits + 1), -1, 2))
        self._levels = (splits + 1).bit_length() - 1
        self._tree = np.arange(trees)
        self._leaf = self._tree * (splits + 1) - splits
        centred = self._mean - self._mean.mean()
        self._fit = np.conj(centred) / np.vdot(centred, centred).real

    def __call__(self, image: Image, face: Found) -> Points:
        """Return the person's left eye's outer and inner corner, the right eye's outer and inner corner, and the nose's base.

        Args:
            image: (height, width, 3) uint8, BGR.
            face: where it is; the trees were trained on this detector's kind of box.
        """
        size = max(1, round(face.size) - 1)  # dlib counts to the middle of the last pixel
        corner = complex(round(face.left), round(face.top))
        reach = round(_REACH * size)
        grey = _grey(image, int(corner.real) - reach, int(corner.imag) - reach, size + 1 + 2 * reach)
        shape = self._mean.copy()
        for cascade in range(len(self._leaves)):
            turn = complex(np.dot(self._fit, shape - shape.mean()))  # best rotation and scale from the mean shape to this one
            places = shape[self._anchors[cascade]] + turn * self._deltas[cascade]
            pixels = _values(grey, places * size + complex(reach, reach))
            shape += self._leaves[cascade].take(self._walk(pixels, cascade), axis=0).sum(axis=0)
        points = shape * size + corner
        return np.stack([points.real, points.imag], axis=1).astype(np.float32)

    def _walk(self, pixels: NDArray[np.int16], cascade: int) -> NDArray[np.intp]:
        """Walk every tree to its leaf; return the leaves' places among all leaves of the cascade."""
        left = pixels.take(self._first[cascade]) - pixels.take(self._second[cascade]) > self._thresholds[cascade]
        decided = left.ravel()
        node = 2 - left[0].astype(np.intp)
        for _ in range(1, self._levels):
            node = 2 * node + 2 - decided.take(node * len(self._tree) + self._tree)
        return np.asarray(self._leaf + node, dtype=np.intp)


def _complex(points: NDArray[np.float32]) -> NDArray[np.complex128]:
    """Return points as complex numbers, so that one factor turns and scales them."""
    return np.asarray(points[..., 0] + 1j * points[..., 1].astype(np.float64), dtype=np.complex128)


def _grey(image: Image, left: int, top: int, size: int) -> NDArray[np.int16]:
    """Return a square of the picture, (size, size) int16: the mean of the three colours as dlib rounds it, 0 outside."""
    height, width = image.shape[:2]
    part = image[max(0, top) : max(0, top + size), max(0, left) : max(0, left + size)]
    colours = part.astype(np.int16)
    grey = (colours[..., 0] + colours[..., 1] + colours[..., 2]) // 3
    borders = (max(0, -top), max(0, top + size - height), max(0, -left), max(0, left + size - width))
    return np.asarray(cv2.copyMakeBorder(grey, *borders, cv2.BORDER_CONSTANT, value=0)) if any(borders) else grey


def _values(grey: NDArray[np.int16], places: NDArray[np.complex128]) -> NDArray[np.int16]:
    """Return the grey values at places, to the nearest pixel; what lies beyond the square counts as its edge."""
    nearest = (places.view(np.float64) + 0.5).astype(np.intp).reshape(-1, 2)
    np.clip(nearest, 0, len(grey) - 1, out=nearest)
    return grey.ravel().take(nearest[:, 1] * len(grey) + nearest[:, 0])

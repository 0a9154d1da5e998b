"""Finds faces and five points of each with YuNet: every place of three grids says whether a face has its middle near there.

Source: W. Wu, H. Peng, S. Yu, "YuNet: A Tiny Millisecond-level Face Detector", 2023; decoding as OpenCV's FaceDetectorYN does it,
but for the points: the published way takes those of the surest place, this one the mean of all places that found the same face.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kiosk.face.align import YUNET_MEAN, turn_between
from kiosk.face.detect import Found
from kiosk.face.given import Image
from kiosk.face.graph_file import any_size
from kiosk.face.model import BadModel, Floats, Model, Takes
from models.spec import YunetSpec

_STRIDES: Final = (8, 16, 32)
_STEP: Final = _STRIDES[-1]
"""Rows and columns of the input must be multiples of this."""

_OUTPUTS: Final = {"cls": 1, "obj": 1, "bbox": 4, "kps": 10}
"""What each grid gives at each place: is it a face, is anything there, the box, the points."""

_STEADY_PX: Final = 64
"""Width at which a face of known size is looked at: its points then move least from frame to frame, by 1.4 pixels at a face of
150 in a frame, against 2.2 at twice or at half as many (measured on four portraits, moved and scaled)."""

_LARGEST_SIDE: Final = 1024
"""A picture is never enlarged beyond this for the sake of small faces, pixels."""

_BOX_MIDDLE: Final = complex(0.52, 0.51)
_BOX_SIZE: Final = 1.327
"""The box dlib's own detector would give, in widths of the mean face: dlib's points are refined from it (measured on LFW)."""


@dataclass(frozen=True, slots=True, eq=False)
class Places:
    """Places of the grids that found a face, the surest first, pixels of the input.

    Attributes:
        scores: (count,) 0 to 1.
        boxes: (count, 4): left, top, width, height.
        points: (count, 5, 2).
    """

    scores: Floats
    boxes: Floats
    points: Floats


class Yunet:
    """The network, and how its grids lie in the picture."""

    def __init__(self, graph: bytes, threads: int, spec: YunetSpec) -> None:
        """Load the graph as published: it takes 640 x 640 pixels, and any other size once that is not said any more.

        Args:
            graph: the ONNX file's bytes.
            threads: how many the runtime may use.
            spec: thresholds.

        Raises:
            BadModel: it is not a graph of this kind.
        """
        try:
            self._model = Model(any_size(graph), threads, Takes.PLANES_BGR)
        except ValueError as err:
            raise BadModel(f"it is no ONNX file: {err}") from None
        self._spec = spec
        wanted = {f"{what}_{stride}" for what in _OUTPUTS for stride in _STRIDES}
        if set(self._model.gives) != wanted:
            raise BadModel(f"it gives {', '.join(self._model.gives)}, not {', '.join(sorted(wanted))}")
        self._order = {name: place for place, name in enumerate(self._model.gives)}
        self._check_output()

    def find(self, image: Image, smallest: float, largest: float) -> list[Found]:
        """Return the faces, the surest first, in one run whatever their sizes. See `kiosk.face.detect.Detector`."""
        height, width = image.shape[:2]
        face_px = _STEADY_PX if largest <= smallest else self._spec.face_px
        scale = min(face_px / smallest, _LARGEST_SIDE / max(height, width))
        if 0.8 < scale < 1.25:
            scale = 1.0  # resampling costs more than it gives
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        if scale != 1:
            how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, (columns, rows), interpolation=how), dtype=np.uint8)
        back = np.array([width / columns, height / rows])
        return [self._face(points * back, score) for points, score in self._merged(self.places(image))]

    def places(self, image: Image) -> Places:
        """Return every place that finds a face, the surest first, before those of the same face are put together.

        Args:
            image: (height, width, 3) uint8, BGR.
        """
        height, width = image.shape[:2]
        below, right = -height % _STEP, -width % _STEP
        if below or right:
            image = np.asarray(cv2.copyMakeBorder(image, 0, below, 0, right, cv2.BORDER_CONSTANT, value=0), dtype=np.uint8)
        outputs = self._model.all(image[None])
        is_face, is_there, box, shape = (
            np.concatenate([outputs[self._order[f"{what}_{stride}"]][0] for stride in _STRIDES]) for what in _OUTPUTS
        )
        squares = (is_face * is_there)[:, 0]
        sure = np.flatnonzero(squares >= self._spec.threshold**2)
        sure = sure[np.argsort(-squares[sure], kind="stable")]
        place, stride = _places(sure, *image.shape[:2])
        extent = np.exp(box[sure, 2:]) * stride
        corner = (place + box[sure, :2]) * stride - extent / 2
        points = (place[:, None] + shape[sure].reshape(-1, 5, 2)) * stride[:, None]
        return Places(np.sqrt(squares[sure]), np.concatenate([corner, extent], axis=1), points)

    def _merged(self, places: Places) -> list[tuple[NDArray[np.float64], float]]:
        """Put together the places of each face: its points are their mean, weighted with the squares of their scores.

        At a face of 150 pixels the points then move by 1.7 pixels from frame to frame instead of 2.6 (measured on LFW).
        """
        faces = []
        left = np.arange(len(places.scores))
        while left.size:
            same = _overlaps(places.boxes[left[0]], places.boxes[left]) > self._spec.nms_iou
            same[0] = True
            members = left[same]
            weights = places.scores[members].astype(np.float64) ** 2
            points = np.tensordot(weights / weights.sum(), places.points[members].astype(np.float64), axes=1)
            faces.append((points, float(places.scores[members[0]])))
            left = left[~same]
        return faces

    def _face(self, points: NDArray[np.float64], score: float) -> Found:
        """Return a face with the box that dlib would give it."""
        middle, size = _box(points)
        return Found(middle.real - size / 2, middle.imag - size / 2, size, score, points.astype(np.float32))

    def _check_output(self) -> None:
        """Try the graph once.

        Raises:
            BadModel: it gives another number of values than there are places.
        """
        side = 4 * _STEP
        outputs = self._model.all(np.zeros((1, side, side, 3), dtype=np.uint8))
        for what, values in _OUTPUTS.items():
            for stride in _STRIDES:
                shape = outputs[self._order[f"{what}_{stride}"]].shape
                if shape != (1, (side // stride) ** 2, values):
                    raise BadModel(f"its output {what}_{stride} has shape {shape} for {side} x {side} pixels")


def _places(numbers: NDArray[np.intp], rows: int, columns: int) -> tuple[Floats, Floats]:
    """Return column and row of places in their grids, (count, 2), and the grids' strides, (count, 1); counted grid after grid."""
    strides = np.array(_STRIDES)
    starts = np.cumsum([0, *(rows // strides * (columns // strides))[:-1]])
    grid = np.searchsorted(starts, numbers, side="right") - 1
    row, column = np.divmod(numbers - starts[grid], (columns // strides)[grid])
    return np.stack([column, row], axis=1).astype(np.float32), strides[grid, None].astype(np.float32)


def _box(points: NDArray[np.float64]) -> tuple[complex, float]:
    """Return middle and width of dlib's box, from the similarity that takes the mean face to the five points."""
    seen = points[:, 0] + 1j * points[:, 1]
    turn = turn_between(YUNET_MEAN, seen)
    return complex(seen.mean() + turn * (_BOX_MIDDLE - YUNET_MEAN.mean())), max(1.0, abs(turn) * _BOX_SIZE)


def _overlaps(box: Floats, others: Floats) -> Floats:
    """Return how much of both together a box shares with each of others, 0 to 1."""
    least = np.maximum(box[:2], others[:, :2])
    most = np.minimum(box[:2] + box[2:], others[:, :2] + others[:, 2:])
    shared = np.prod(np.clip(most - least, 0, None), axis=1)
    return np.asarray(shared / (np.prod(box[2:]) + np.prod(others[:, 2:], axis=1) - shared), dtype=np.float32)

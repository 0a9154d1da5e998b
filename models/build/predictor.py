"""dlib's shape predictor as plain arrays: regression trees that move a mean shape onto a face.

Source: V. Kazemi and J. Sullivan, "One millisecond face alignment with an ensemble of regression trees", CVPR 2014, as dlib
writes it. A cascade is a forest; a tree compares two picture values at each of its splits and adds one leaf to the shape.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from models.build.stream import NotDlib, Stream

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Predictor:
    """All arrays of a shape predictor; points are fractions of the face box, x before y.

    Attributes:
        mean: (points, 2) float32, the shape every face begins with.
        anchors: (cascades, pixels) int16, the point of the mean shape a picture value is taken near.
        deltas: (cascades, pixels, 2) float32, and where from that point.
        pairs: (cascades, splits, trees, 2) int16, the two picture values a split compares; splits in breadth-first order.
        thresholds: (cascades, splits, trees) float32; a larger difference goes left.
        leaves: (cascades, trees, leaves, points, 2) float32, what a leaf adds to the shape.
    """

    mean: NDArray[np.float32]
    anchors: NDArray[np.int16]
    deltas: NDArray[np.float32]
    pairs: NDArray[np.int16]
    thresholds: NDArray[np.float32]
    leaves: NDArray[np.float32]


def read(data: bytes) -> Predictor:
    """Read a shape predictor to its last byte.

    Raises:
        NotDlib: it is none, or its trees or forests are of unequal size.
    """
    stream = Stream(data)
    stream.expect("version of the shape predictor", _VERSION)
    values = _Values(stream.integers_to_the_end())
    mean = values.matrix().reshape(-1, 2)
    cascades = values.one()
    forests = [_forest(values, mean.size) for _ in range(cascades)]
    anchors = [values.several(values.one()) for _ in range(values.one())]
    deltas = [values.floats(2 * values.one()).reshape(-1, 2) for _ in range(values.one())]
    values.finish()
    try:
        return Predictor(
            mean=mean,
            anchors=np.array(anchors, dtype=np.int16),
            deltas=np.array(deltas, dtype=np.float32),
            pairs=np.array([[pairs for pairs, _, _ in forest] for forest in forests], dtype=np.int16).swapaxes(1, 2),
            thresholds=np.array([[cuts for _, cuts, _ in forest] for forest in forests], dtype=np.float32).swapaxes(1, 2),
            leaves=np.array([[leaves for _, _, leaves in forest] for forest in forests], dtype=np.float32),
        )
    except ValueError as err:
        raise NotDlib("the trees of the shape predictor are of unequal size") from err


def convert(predictor: Predictor) -> bytes:
    """Return the arrays as an .npz file; the same arrays always give the same bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for field in fields(predictor):
            entry = io.BytesIO()
            np.lib.format.write_array(entry, np.ascontiguousarray(getattr(predictor, field.name)), version=(1, 0))
            member = zipfile.ZipInfo(f"{field.name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.create_system = 3
            archive.writestr(member, entry.getvalue())
    return buffer.getvalue()


class _Values:
    """The whole numbers of the file in order; a float takes two of them, a matrix begins with its sizes, negated."""

    def __init__(self, values: NDArray[np.int64]) -> None:
        self._values = values
        self._at = 0

    def several(self, count: int) -> NDArray[np.int64]:
        taken = self._values[self._at : self._at + count]
        if count < 0 or len(taken) != count:
            raise NotDlib(f"the shape predictor is cut short at value {self._at}")
        self._at += count
        return taken

    def one(self) -> int:
        return int(self.several(1)[0])

    def floats(self, count: int) -> NDArray[np.float32]:
        mantissas, powers = self.several(2 * count).reshape(-1, 2).T
        return np.ldexp(mantissas.astype(np.float64), powers.astype(np.int32)).astype(np.float32)

    def matrix(self) -> NDArray[np.float32]:
        rows, columns = self.several(2)
        return self.floats(int(rows * columns))

    def finish(self) -> None:
        if self._at != len(self._values):
            raise NotDlib(f"{len(self._values) - self._at} values of the shape predictor are left over")


def _forest(values: _Values, numbers: int) -> list[tuple[Any, Any, Any]]:
    return [_tree(values, numbers) for _ in range(values.one())]


def _tree(values: _Values, numbers: int) -> tuple[Any, Any, Any]:
    """Read one tree: its splits (two picture values, a threshold) and its leaves (a matrix each)."""
    splits = values.several(4 * values.one()).reshape(-1, 4)
    thresholds = np.ldexp(splits[:, 2].astype(np.float64), splits[:, 3].astype(np.int32))
    leaves = values.several(values.one() * (2 + 2 * numbers)).reshape(-1, 2 + 2 * numbers)
    if np.any(leaves[:, 0] * leaves[:, 1] != numbers):
        raise NotDlib("a leaf that does not fit the shape")
    steps = np.ldexp(leaves[:, 2::2].astype(np.float64), leaves[:, 3::2].astype(np.int32))
    return splits[:, :2], thresholds, steps.reshape(len(leaves), -1, 2)

"""Whether the points of a turning face can be those of a flat sheet: the residual of the best affine fit between two views.

Turning a plane, seen from some distance, is an affine map of its points; a nose that stands out of the face leaves it. That takes
points off the face's plane (the tip of the nose; not the base of it, as dlib's five have it), turns of 20 degrees and more, and
several frames. Measured in simulation: reference values and error rates in the packs' model cards.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

Shape = tuple[tuple[float, float], ...]
"""The five points of one frame, x before y, square pixels of any size: both eyes first."""

LEAST: Final = 3
"""Frames of each view that a residual takes."""


def residual(straight: Sequence[Shape], turned: Sequence[Shape]) -> float | None:
    """Return how far the points of a face leave those of a plane, in distances of the eyes; None with too few frames.

    The mean shape of the straight frames is mapped onto each turned one. Of the residuals (root mean square) the median.

    Args:
        straight: frames in which the face looks straight ahead.
        turned: frames in which it is turned to one side.
    """
    if min(len(straight), len(turned)) < LEAST:
        return None
    shapes = np.array([_placed(shape) for shape in straight])
    rest = shapes.mean(axis=0)
    return statistics.median(_leftover(rest, np.array(shape, dtype=np.float64)) for shape in turned)


def _placed(shape: Shape) -> NDArray[np.float64]:
    """Return a shape around its own middle, the eyes one apart: frames in which the face stands elsewhere can be averaged."""
    points = np.array(shape, dtype=np.float64)
    return np.asarray((points - points.mean(axis=0)) / max(np.linalg.norm(points[1] - points[0]), 1e-9), dtype=np.float64)


def _leftover(rest: NDArray[np.float64], seen: NDArray[np.float64]) -> float:
    """Return the root mean square of what the best affine map of `rest` leaves of `seen`, in the eyes' distance of `rest`.

    The map's scale from `rest` to the frame is that of its height, which turning to a side does not change.
    """
    system = np.hstack([rest, np.ones((len(rest), 1))])
    fit, *_ = np.linalg.lstsq(system, seen, rcond=None)
    left = seen - system @ fit
    scale = float(np.linalg.norm(fit[1]))
    return float(np.sqrt(np.mean(np.sum(left**2, axis=1)))) / max(scale, 1e-9)

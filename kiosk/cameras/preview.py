"""Makes the picture for the screen where the camera cannot: mirrored, in the screen's byte order, at the screen's size."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from kiosk.cameras.base import Image

WIDTH: Final = 704
HEIGHT: Final = 528
"""The place the screen's layout has for it, pixels."""


def preview_of(image: Image) -> Image:
    """Return the preview, (528, 704, 4) uint8, BGRX, mirrored; what does not fit the shape is cut off on both sides.

    Args:
        image: (height, width, 3) uint8, BGR.
    """
    height, width = image.shape[:2]
    wide, high = min(width, height * WIDTH // HEIGHT), min(height, width * HEIGHT // WIDTH)
    left, top = (width - wide) // 2, (height - high) // 2
    middle = image[top : top + high, left : left + wide]
    fitted = cv2.resize(middle, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.cvtColor(cv2.flip(fitted, 1), cv2.COLOR_BGR2BGRA), dtype=np.uint8)

"""Says why a frame is of no use for a comparison, one cause at a time, the one to change first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from kiosk.face.detect import Found
from kiosk.face.given import Image
from kiosk.face.pose import Pose
from kiosk.face.result import QualityCause
from models.spec import QualitySpec

_SMALL: Final = 50
"""Sharpness is judged on the cut-out reduced to this size, pixels: sensor noise is gone there, the shape of the eyes is not."""

_LIGHTEST: Final = 90
"""The lightest parts of a face: as light as this percentile."""

_AROUND: Final = 0.5
"""How far the surroundings of a face reach, in widths of it."""

_EVERY: Final = 4
"""Every so many pixels are enough for a mean."""

_LOOK: Final = 32
_EYES: Final = slice(2, 13)
_MOUTH: Final = slice(16, 31)
"""Where they are in a face from the brows to the chin that is reduced to so many pixels."""

_SIDES: Final = 1.15
"""Brings the ratio of one eye to the other to where one threshold serves both (measured on ORL, faces covered by drawing)."""

_INNER: Final = 0.2
"""Part of the cut-out that is left away on each side: hair, collar, background."""


def of_faces(faces: Sequence[Found], image: Image, spec: QualitySpec) -> QualityCause | None:
    """Return why there is not exactly one face.

    Args:
        faces: the widest first. A second one counts only when its size is comparable: small hits in the background are false.
        image: the frame, (height, width, 3) uint8, BGR.
        spec: from when on a frame is of use.
    """
    if not faces:
        return _light(float(image.mean()), spec) or QualityCause.NO_FACE
    if any(other.size >= spec.second_face * faces[0].size for other in faces[1:]):
        return QualityCause.TWO_FACES
    return None


def of_place(face: Found, image: Image, spec: QualitySpec) -> QualityCause | None:
    """Return what is wrong with where a face is.

    Args:
        face: the box.
        image: the frame, (height, width, 3) uint8, BGR.
        spec: from when on a frame is of use.
    """
    height, width = image.shape[:2]
    across = abs(face.left + face.size / 2 - width / 2) / width
    down = abs(face.top + face.size / 2 - height / 2) / height
    if face.size < spec.smallest_face_px:
        return QualityCause.TOO_FAR
    if face.size > spec.largest_face * height:
        return QualityCause.TOO_NEAR
    if max(across, down) > spec.off_centre:
        return QualityCause.OFF_CENTRE
    return None


def of_light(grey: Image, face: Found, image: Image, spec: QualitySpec) -> QualityCause | None:
    """Return what is wrong with the light on one face.

    Against bright surroundings it is not the mean of the face that counts but its lightest parts: dark skin in good light has
    light spots, a face that gets no light has none.

    Args:
        grey: the cut-out, (size, size) uint8.
        face: the box.
        image: the frame, (height, width, 3) uint8, BGR.
        spec: from when on a frame is of use.
    """
    inner = _inner(grey)
    if surroundings(image, face) - float(np.percentile(inner, _LIGHTEST)) > spec.back_lit:
        return QualityCause.BACK_LIT
    return _light(float(inner.mean()), spec)


def of_pose(held: Pose, spec: QualitySpec) -> QualityCause | None:
    """Return whether a head is turned or tilted too far."""
    is_turned = abs(held.yaw_deg) > spec.turned_deg or held.tilt_deg > spec.tilted_deg
    return QualityCause.TURNED if is_turned else None


def of_focus(grey: Image, spec: QualitySpec) -> QualityCause | None:
    """Return whether the cut-out of one face is blurred, (size, size) uint8; of a turned head, too."""
    return QualityCause.BLURRED if sharpness(grey) < spec.sharpness else None


def of_cover(grey: Image, score: float, inner: tuple[slice, slice], spec: QualitySpec) -> QualityCause | None:
    """Return whether a part of one face, which looks about straight ahead, is covered.

    Args:
        grey: the cut-out, (size, size) uint8.
        score: how sure the detector was of it.
        inner: rows and columns of the cut-out from the brows to the chin.
        spec: from when on a frame is of use.
    """
    is_covered = score < spec.least_score or evenness(grey[inner]) < spec.covered
    return QualityCause.COVERED if is_covered else None


def evenness(look: Image) -> float:
    """Return how evenly a face's detail is spread, 0 to about 2: a mask leaves the lower half bare of it, a hand one eye.

    The smaller of two ratios of fine contrast: around the mouth to around the eyes, and of one eye to the other.

    Args:
        look: the face from the brows to the chin, (height, width) uint8.
    """
    small = cv2.resize(look, (_LOOK, _LOOK), interpolation=cv2.INTER_AREA).astype(np.float32)
    detail = small - cv2.GaussianBlur(small, (0, 0), _LOOK / 8)
    eyes, left, right = (float(detail[_EYES, part].std()) for part in (slice(None), slice(14), slice(18, None)))
    mouth = float(detail[_MOUTH, 4:-4].std())
    return min(mouth / max(eyes, 1e-6), _SIDES * min(left, right) / max(left, right, 1e-6))


def surroundings(image: Image, face: Found) -> float:
    """Return the mean grey around a face, up to half its width away on both sides and above, 0 to 255."""
    reach = _AROUND * face.size
    left, right = max(0, int(face.left - reach)), max(0, int(face.left + face.size + reach))
    top, bottom = max(0, int(face.top - reach)), max(0, int(face.top + face.size))
    around = image[top:bottom:_EVERY, left:right:_EVERY]
    inner = image[max(0, int(face.top)) : bottom : _EVERY, max(0, int(face.left)) : max(0, int(face.left + face.size)) : _EVERY]
    count = around.size - inner.size
    return (float(around.sum()) - float(inner.sum())) / count if count > 0 else 0.0


def sharpness(grey: Image) -> float:
    """Return the variance of a cut-out's Laplacian relative to that of its grey values.

    A face out of focus by a standard deviation of 2 % of its width has 0.22 to 0.42, by 3 % 0.07 to 0.17, and its vector has
    then moved by 0.3 and 0.4 (five portraits, with and without noise of 4 grey levels).

    Args:
        grey: (size, size) uint8.
    """
    small = _inner(np.asarray(cv2.resize(grey, (_SMALL, _SMALL), interpolation=cv2.INTER_AREA), dtype=np.uint8)).astype(
        np.float32
    )
    detail = cv2.Laplacian(small, cv2.CV_32F)[1:-1, 1:-1]
    return float(detail.var() / max(small.var(), 1.0))


def _light(mean: float, spec: QualitySpec) -> QualityCause | None:
    if mean < spec.darkest:
        return QualityCause.TOO_DARK
    return QualityCause.TOO_BRIGHT if mean > spec.brightest else None


def _inner(grey: Image) -> Image:
    border = round(_INNER * len(grey))
    return grey[border:-border, border:-border]

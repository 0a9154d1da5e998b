"""A photograph as a living head: given a depth from its five points, it can be turned and seen anew. Also as a sheet of paper.

What is behind a photograph's outline nobody knows: turned by up to about 35 degrees it looks like a head, further it does not.
The depth is that of an average head, so results with these pictures are called synthetic and prove nothing about real attacks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Points = NDArray[np.float32]
"""(5, 2) float32, pixels: the eye on the picture's left, the other, tip of the nose, left corner of the mouth, the right one."""

_Plane = NDArray[np.float32]

# An average head, in distances of the eyes (63 mm): 170 mm wide with hair, 95 mm from the axis it turns around to the brow.
_WIDE: Final = 1.35
_UP: Final = 1.9
_DOWN: Final = 1.75
_DEEP: Final = 1.5
_NOSE: Final = 0.42
"""How far its tip stands out of the face."""

_NEAREST: Final = 2.1
"""No point of a head is nearer to the camera than this, in distances of the eyes from its axis."""

_AWAY: Final = 4.0
"""How far the camera is from a sheet, in widths of it."""

_MASK: Final = 1.6
"""How far before the head's axis a paper face is held, in distances of the eyes."""

_STEPS: Final = 28
_HALVINGS: Final = 4
_REACH: Final = 1.55
"""Beyond so many half axes of the head nothing moves with it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """How a head is held.

    Attributes:
        yaw_deg: positive when the nose goes towards the picture's right, which is the person's left.
        pitch_deg: positive when the nose goes down.
    """

    yaw_deg: float = 0.0
    pitch_deg: float = 0.0


class Head:
    """The head in one photograph.

    Attributes:
        picture: the photograph.
        points: its five points.
        unit: distance of the eyes, pixels.
        part: head and shoulders, a view into the photograph.
        corner: column and row where that begins.
    """

    def __init__(self, picture: Image, points: Points) -> None:
        """Fit the depth.

        Args:
            picture: (height, width, 3) uint8, BGR; one face, looking about straight ahead.
            points: the five points of it.
        """
        self.picture = picture
        self.points = points
        eyes = points[1] - points[0]
        self.unit = float(np.hypot(*eyes))
        self._lean = math.atan2(float(eyes[1]), float(eyes[0]))
        self._middle = points[:2].mean(axis=0)
        size = self.unit
        left, top = (max(0, int(v)) for v in self._middle - size * np.array([2.6, 3.2]))
        right, bottom = (int(v) for v in self._middle + size * np.array([2.6, 3.2]))
        self.corner = (left, top)
        self.part = picture[top:bottom, left:right]
        self._across, self._down = self._measured()
        self._depth = self._fitted()

    def turned(self, turn: Turn) -> Image:
        """Return the photograph with its head turned; body and background stay.

        Each pixel of the new picture is a ray that is followed until it meets the head.
        """
        if turn == Turn():
            return self.picture
        near = np.clip((_REACH - _radius(self._across, self._down)) / (_REACH - 1.05), 0, 1)
        part = near * near * (3 - 2 * near)  # the head turns as a whole, what surrounds it less and less
        yaw, pitch = np.radians(turn.yaw_deg) * part, np.radians(turn.pitch_deg) * part
        rays = _Rays(self._across, self._down, np.asarray(yaw, np.float32), np.asarray(pitch, np.float32))
        far, was = np.full(part.shape, -_NEAREST, np.float32), np.full(part.shape, _NEAREST, np.float32)
        is_met = np.zeros(part.shape, dtype=bool)
        for step in np.linspace(_NEAREST, -_NEAREST, _STEPS, dtype=np.float32):
            x, y, z = rays.at(np.full(part.shape, step, np.float32))
            hits = ~is_met & (z <= self._depth_at(x, y))
            far[hits] = step
            is_met |= hits
            was[~is_met] = step
        for _ in range(_HALVINGS):
            middle = np.asarray((far + was) / 2, np.float32)
            x, y, z = rays.at(middle)
            inside = z <= self._depth_at(x, y)
            far, was = np.where(inside, middle, far), np.where(inside, was, middle)
        x, y, _ = rays.at(np.asarray((far + was) / 2, np.float32))
        columns, rows = self._pixels(x, y)
        seen = self.picture.copy()
        height, width = self.part.shape[:2]
        seen[self.corner[1] : self.corner[1] + height, self.corner[0] : self.corner[0] + width] = cv2.remap(
            self.part, columns, rows, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
        )
        return seen

    def face_mask(self) -> _Plane:
        """Return where the face is, (height, width) float32, 1 within and 0 outside, as scissors would cut it."""
        mask = np.zeros(self.picture.shape[:2], dtype=np.float32)
        chin = self._middle + 0.45 * self.unit * np.array([-math.sin(self._lean), math.cos(self._lean)])
        axes = (round(1.12 * self.unit), round(1.4 * self.unit))
        cv2.ellipse(mask, (round(float(chin[0])), round(float(chin[1]))), axes, math.degrees(self._lean), 0, 360, 1.0, -1)
        return np.asarray(cv2.GaussianBlur(mask, (0, 0), 1.0), np.float32)

    def _measured(self) -> tuple[_Plane, _Plane]:
        """Return where each pixel of the part lies: across and down from between the eyes, in distances of the eyes."""
        rows, columns = np.mgrid[: self.part.shape[0], : self.part.shape[1]].astype(np.float32)
        x = (columns + self.corner[0] - self._middle[0]) / self.unit
        y = (rows + self.corner[1] - self._middle[1]) / self.unit
        sin, cos = math.sin(self._lean), math.cos(self._lean)
        return np.asarray(cos * x + sin * y, np.float32), np.asarray(cos * y - sin * x, np.float32)

    def _pixels(self, x: _Plane, y: _Plane) -> tuple[_Plane, _Plane]:
        sin, cos = math.sin(self._lean), math.cos(self._lean)
        columns = (cos * x - sin * y) * self.unit + self._middle[0] - self.corner[0]
        rows = (sin * x + cos * y) * self.unit + self._middle[1] - self.corner[1]
        return np.asarray(columns, np.float32), np.asarray(rows, np.float32)

    def _depth_at(self, x: _Plane, y: _Plane) -> _Plane:
        columns, rows = self._pixels(x, y)
        return np.asarray(cv2.remap(self._depth, columns, rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)

    def _fitted(self) -> _Plane:
        """Return the depth of each pixel of the part: a rounded skull, sockets, a nose where the points have it."""
        x, y = self._across, self._down
        skull = _DEEP * np.clip(1 - _radius(x, y) ** 2.4, 0, 1) ** 0.5
        nose, mouth = self._point(2), (self._point(3) + self._point(4)) / 2
        down = float(nose[1])
        along = np.clip(y / down, 0, 1)  # the ridge runs from between the eyes to the tip
        off = x - along * float(nose[0])
        ridge = np.where(y > down, np.exp(-(((y - down) / 0.16) ** 2)), along**1.3) * np.where(y < -0.1, 0, 1)
        bump = _NOSE * ridge * np.exp(-((off / (0.13 + 0.1 * along)) ** 2))
        sockets = sum(np.exp(-((x - e) ** 2 + y**2) / 0.06) for e in (-0.5, 0.5))
        lips = np.exp(-(((x - mouth[0]) / 0.4) ** 2) - ((y - mouth[1]) / 0.22) ** 2)
        return np.asarray(cv2.GaussianBlur(skull + bump - 0.1 * sockets + 0.08 * lips, (0, 0), 0.04 * self.unit), np.float32)

    def _point(self, number: int) -> NDArray[np.float64]:
        column, row = (int(v) for v in self.points[number] - (self.corner[0], self.corner[1]))
        return np.array([self._across[row, column], self._down[row, column]], dtype=np.float64)


@dataclass(frozen=True, slots=True)
class _Rays:
    """One line of sight a pixel, straight ahead, in the frame of the unturned head."""

    across: _Plane
    down: _Plane
    yaw: _Plane
    pitch: _Plane

    def at(self, depth: _Plane) -> tuple[_Plane, _Plane, _Plane]:
        """Return x, y, z of the head at so much depth before its axis."""
        sin, cos = np.sin(self.pitch), np.cos(self.pitch)
        y = self.down * cos - depth * sin
        z = self.down * sin + depth * cos
        sin, cos = np.sin(self.yaw), np.cos(self.yaw)
        x = self.across * cos - z * sin
        return x, y, self.across * sin + z * cos


def _radius(across: _Plane, down: _Plane) -> _Plane:
    """Return the distance from the middle of the head, 1 at its outline."""
    return np.asarray(np.hypot(across / _WIDE, down / np.where(down < 0, _UP, _DOWN)), np.float32)


# --- paper ----------------------------------------------------------------------------------------------------------------


def sheet(head: Head, yaw_deg: float, bend_deg: float = 0.0) -> Image:
    """Return a print of the head's neighbourhood, turned around its upright middle line before a grey wall.

    Args:
        head: what is printed.
        yaw_deg: how the sheet is turned; positive when it looks towards the picture's right.
        bend_deg: over which angle it is bent into a cylinder, its middle nearest to the camera; 0 is flat.
    """
    height, width = head.part.shape[:2]
    along = np.linspace(-0.5, 0.5, 4 * width) * width
    radius = width / math.radians(bend_deg) if bend_deg else math.inf
    across = along if not bend_deg else radius * np.sin(along / radius)
    near = np.zeros_like(along) if not bend_deg else radius * (np.cos(along / radius) - 1)
    sin, cos = math.sin(math.radians(yaw_deg)), math.cos(math.radians(yaw_deg))
    away = _AWAY * width
    grows = away / (away - (near * cos - across * sin))
    seen = (across * cos + near * sin) * grows
    faces = np.gradient(seen) > 0.02  # the rest is hidden behind the edge
    columns = np.arange(width) - width / 2
    at = np.interp(columns, seen[faces], along[faces], left=np.nan, right=np.nan)
    size = np.interp(columns, seen[faces], grows[faces])
    rows = (np.arange(height)[:, None] - height / 2) / size[None, :]
    is_paper = np.isfinite(at)[None, :] & (np.abs(rows) < height / 2)
    source = np.broadcast_to(np.nan_to_num(at) + width / 2, rows.shape)
    paper = cv2.remap(head.part, source.astype(np.float32), (rows + height / 2).astype(np.float32), cv2.INTER_CUBIC)
    wall = np.full_like(head.picture, 150)
    left, top = head.corner
    wall[top : top + height, left : left + width] = np.where(is_paper[..., None], paper, 150)
    return wall


def cut_out(face: Head, body: Head, turn: Turn) -> Image:
    """Return somebody who turns their head, and with it a face that was cut out of paper and is held before their own."""
    aligned = _similarity(face.points, body.points)
    depth = _MASK * body.unit
    squeeze = math.cos(math.radians(turn.yaw_deg))
    middle = float(body.points[:2, 0].mean())
    shift = depth * math.sin(math.radians(turn.yaw_deg))
    turned = np.array([[squeeze, 0.0, middle * (1 - squeeze) + shift], [0.0, 1.0, 0.0]])
    both = turned[:, :2] @ aligned
    both[:, 2] += turned[:, 2]
    beneath = body.turned(turn)
    size = (beneath.shape[1], beneath.shape[0])
    paper = cv2.warpAffine(face.picture, both, size, flags=cv2.INTER_CUBIC)
    mask = cv2.warpAffine(face.face_mask(), both, size)[..., None]
    return np.asarray(beneath * (1 - mask) + paper * mask, dtype=np.uint8)


def _similarity(source: Points, target: Points) -> NDArray[np.float64]:
    """Return the (2, 3) matrix that turns, scales and moves one set of points onto another, least squares."""
    one = (source[:, 0] + 1j * source[:, 1]).astype(np.complex128)
    two = (target[:, 0] + 1j * target[:, 1]).astype(np.complex128)
    from_middle = one - one.mean()
    turn = complex(np.vdot(from_middle, two - two.mean()) / np.vdot(from_middle, from_middle).real)
    move = two.mean() - turn * one.mean()
    return np.array([[turn.real, -turn.imag, move.real], [turn.imag, turn.real, move.imag]])

"""From a frame to a glimpse: find, judge, cut out, describe, compare. Holds the references of one visit."""

from __future__ import annotations

import cv2
import numpy as np

from kiosk.face import pose, quality
from kiosk.face.align import OnePlace
from kiosk.face.calibration import Calibration
from kiosk.face.detect import Found, Points
from kiosk.face.given import Image
from kiosk.face.recogniser import Recogniser
from kiosk.face.result import Box, Glimpse, QualityCause
from kiosk.face.scoring import EUCLIDEAN, Scale, Scorer
from kiosk.face.track import Tracker
from models.load import Pack
from sync_agent.contract.kinds import Condition


class Matcher:
    """One pack, loaded."""

    def __init__(self, pack: Pack, threads: int, calibration: Calibration | None = None) -> None:
        """Load and check the weights.

        Args:
            pack: where they are and what they must be.
            threads: how many the runtime may use.
            calibration: the site's, of this pack; its scoring is used for portraits of its condition.

        Raises:
            BadPack: a file is missing, another than the pack names or of another kind, or the parts do not go together.
        """
        self._recogniser = Recogniser(pack, threads)
        self._spec = pack.spec
        self._condition = calibration.condition if calibration else None
        self._scale = Scale(calibration.scoring, calibration.population) if calibration else EUCLIDEAN
        self._tracker = Tracker(self._recogniser)
        self._reference: Scorer | None = None
        self._other: Scorer | None = None

    def refer(self, portrait: Image, condition: Condition = Condition.CHIP) -> QualityCause | None:
        """Take a portrait as what frames are compared with, and nobody else's; return why it cannot be, or None.

        Args:
            portrait: (height, width, 3) uint8, BGR.
            condition: where it comes from.

        Raises:
            NotNumbers: a network gave something else.
        """
        self.forget()
        taken = self._taken(portrait, condition)
        if isinstance(taken, QualityCause):
            return taken
        self._reference = taken
        return None

    def refer_other(self, portrait: Image, condition: Condition = Condition.CHIP) -> QualityCause | None:
        """Take the portrait of somebody else whom the face may wrongly be; see `refer`."""
        taken = self._taken(portrait, condition)
        if isinstance(taken, QualityCause):
            return taken
        self._other = taken
        return None

    def look(self, number: int, image: Image) -> Glimpse:
        """Return what a frame gives: how unlike the references it is, or the cause why it is of no use.

        Args:
            number: of the frame.
            image: (height, width, 3) uint8, BGR.

        Raises:
            NotNumbers: a network gave something else.
        """
        spec = self._spec.quality
        faces = self._tracker.find(image)
        if cause := quality.of_faces(faces, image, spec):
            return Glimpse(number, None, cause, None)
        try:
            points, chip = self._recogniser.describe(image, faces[0])
        except OnePlace:
            return Glimpse(number, None, QualityCause.NO_FACE, None)
        face = self._tracker.follow(faces[0], points)
        held = pose.of_points(points, self._recogniser.points_kind)
        grey = np.asarray(cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY), dtype=np.uint8)
        cause = (
            quality.of_place(face, image, spec)
            or quality.of_light(grey, face, image, spec)
            or quality.of_focus(grey, spec)  # before the pose: turned frames are compared, blurred ones never
            or quality.of_pose(held, spec)
            or quality.of_cover(grey, face.score, self._recogniser.inner, spec)
        )
        box, shown = _box(face, image), _fractions(points, image)
        if cause not in (None, QualityCause.TURNED) or self._reference is None:
            return Glimpse(number, box, cause, None, points=shown, yaw_deg=held.yaw_deg)
        vector = self._recogniser.vector(chip)
        glimpse = Glimpse(
            number,
            box,
            cause,
            distance=self._reference(vector),
            plain=self._reference.plain(vector),
            other=None if self._other is None else self._other(vector),
            points=shown,
            yaw_deg=held.yaw_deg,
            passive=self._recogniser.alive(image, face),
        )
        vector.fill(0)
        return glimpse

    def forget(self) -> None:
        """Overwrite the references with zeros and know of no face any more."""
        for scorer in (self._reference, self._other):
            if scorer is not None:
                scorer.forget()
        self._reference = self._other = None
        self._tracker.forget()

    def _taken(self, portrait: Image, condition: Condition) -> Scorer | QualityCause:
        vector = self._recogniser.reference(portrait, condition)
        if isinstance(vector, QualityCause):
            return vector
        taken = Scorer(vector, self._scale if condition is self._condition else EUCLIDEAN)
        vector.fill(0)
        return taken


def _box(face: Found, image: Image) -> Box:
    height, width = image.shape[:2]
    left, top = max(0.0, face.left / width), max(0.0, face.top / height)
    right, bottom = min(1.0, (face.left + face.size) / width), min(1.0, (face.top + face.size) / height)
    return Box(left, top, right - left, bottom - top)


def _fractions(points: Points, image: Image) -> tuple[tuple[float, float], ...]:
    height, width = image.shape[:2]
    return tuple((float(x) / width, float(y) / height) for x, y in points)

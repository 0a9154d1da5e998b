"""From a frame to a glimpse: find, judge, cut out, describe, compare. Holds the reference of one visit."""

from __future__ import annotations

from kiosk.face import quality
from kiosk.face.detect import Found
from kiosk.face.embed import Vector, distance
from kiosk.face.given import Image
from kiosk.face.recogniser import Recogniser
from kiosk.face.result import Box, Glimpse, QualityCause
from kiosk.face.track import Tracker
from models.load import Pack
from sync_agent.contract.kinds import Condition


class Matcher:
    """One pack, loaded."""

    def __init__(self, pack: Pack, threads: int) -> None:
        """Load and check the weights.

        Args:
            pack: where they are and what they must be.
            threads: how many the runtime may use.

        Raises:
            BadPack: a file is missing or another than the pack names.
        """
        self._recogniser = Recogniser(pack, threads)
        self._spec = pack.spec
        self._tracker = Tracker(self._recogniser)
        self._reference: Vector | None = None

    def refer(self, portrait: Image, condition: Condition = Condition.CHIP) -> QualityCause | None:
        """Take a portrait as what frames are compared with; return why it cannot be, or None.

        Args:
            portrait: (height, width, 3) uint8, BGR.
            condition: where it comes from.
        """
        self.forget()
        reference = self._recogniser.reference(portrait, condition)
        if isinstance(reference, QualityCause):
            return reference
        self._reference = reference
        return None

    def look(self, number: int, image: Image) -> Glimpse:
        """Return what a frame gives: a distance, or the cause why it is of no use.

        Args:
            number: of the frame.
            image: (height, width, 3) uint8, BGR.
        """
        spec = self._spec.quality
        faces = self._tracker.find(image)
        if cause := quality.of_faces(faces, image, spec):
            return Glimpse(number, None, cause, None)
        points, chip = self._recogniser.describe(image, faces[0])
        face = self._tracker.follow(faces[0], points)
        cause = quality.of_place(face, image, spec) or quality.of_chip(chip, points, spec)
        box = _box(face, image)
        if cause or self._reference is None:
            return Glimpse(number, box, cause, None)
        vector = self._recogniser.vector(chip)
        apart = distance(vector, self._reference)
        vector.fill(0)
        return Glimpse(number, box, None, apart)

    def forget(self) -> None:
        """Overwrite the reference with zeros and know of no face any more."""
        if self._reference is not None:
            self._reference.fill(0)
        self._reference = None
        self._tracker.forget()


def _box(face: Found, image: Image) -> Box:
    height, width = image.shape[:2]
    left, top = max(0.0, face.left / width), max(0.0, face.top / height)
    right, bottom = min(1.0, (face.left + face.size) / width), min(1.0, (face.top + face.size) / height)
    return Box(left, top, right - left, bottom - top)

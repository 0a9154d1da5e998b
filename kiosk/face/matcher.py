"""From a frame to a glimpse: find, judge, cut out, describe, compare. Holds the reference of one visit."""

from __future__ import annotations

import cv2
import numpy as np

from kiosk.face import align, quality
from kiosk.face.detect import Detector, Found
from kiosk.face.embed import Embedder, Vector, distance
from kiosk.face.given import Image
from kiosk.face.landmarks import Landmarks
from kiosk.face.model import Model
from kiosk.face.result import Box, Glimpse, QualityCause
from kiosk.face.track import Tracker
from models.load import BadPack, Pack
from models.spec import Dlib5Spec, DlibChipSpec, MmodSpec


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
        self._spec = spec = pack.spec
        detector, landmarks, alignment = spec.detector, spec.landmarks, spec.alignment
        if not (isinstance(detector, MmodSpec) and isinstance(landmarks, Dlib5Spec) and isinstance(alignment, DlibChipSpec)):
            raise BadPack(f"model pack {spec.name!r} has parts of kinds that this release does not know")
        self._alignment = alignment
        self._detector = Detector(Model(pack.read(detector.weights), threads), detector)
        self._landmarks = Landmarks(pack.read(landmarks.weights))
        self._embedder = Embedder(Model(pack.read(spec.embedder.weights), threads))
        self._tracker = Tracker(self._detector, spec.quality.smallest_face_px)
        self._reference: Vector | None = None

    def refer(self, portrait: Image) -> QualityCause | None:
        """Take a chip portrait as what frames are compared with; return why it cannot be, or None.

        Args:
            portrait: (height, width, 3) uint8, BGR.
        """
        self.forget()
        scale = self._spec.portrait.enlarge
        large = np.asarray(cv2.resize(portrait, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
        width = large.shape[1]
        faces = self._detector.find(large, self._detector.sizes(self._spec.portrait.smallest_face * width, width))
        if not faces:
            return QualityCause.NO_FACE
        face = max(faces, key=lambda found: found.size)
        points = self._landmarks(large, face)
        self._reference = self._embedder(align.chip(large, points, self._alignment))
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
        points = self._landmarks(image, faces[0])
        face = self._tracker.follow(faces[0], points)
        chip = align.chip(image, points, self._alignment)
        cause = quality.of_place(face, image, spec) or quality.of_chip(chip, points, spec)
        box = _box(face, image)
        if cause or self._reference is None:
            return Glimpse(number, box, cause, None)
        vector = self._embedder(chip)
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

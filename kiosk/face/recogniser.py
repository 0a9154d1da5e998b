"""Puts the parts of any pack together: a picture in, faces, cut-outs and vectors out. Knows nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar, assert_never

import cv2
import numpy as np

from kiosk.face import align
from kiosk.face.detect import Detector, Found, Points, PointsKind
from kiosk.face.embed import Embedder, Vector
from kiosk.face.given import Image
from kiosk.face.landmarks import Landmarks
from kiosk.face.mmod import Mmod
from kiosk.face.model import BadModel, Model, NotNumbers, Takes
from kiosk.face.passive import Passive
from kiosk.face.result import QualityCause
from kiosk.face.yunet import Yunet
from models.load import BadPack, Pack
from models.spec import (
    ArcfaceChipSpec,
    Dlib5Spec,
    DlibChipSpec,
    DlibResnetSpec,
    MmodSpec,
    OwnPointsSpec,
    SfaceSpec,
    WeightsSpec,
    YunetSpec,
)
from sync_agent.contract.kinds import Condition

_Part = TypeVar("_Part")

_LARGEST_FACE: Final = 0.9
"""Widest face looked for, as a fraction of the picture's shorter side."""

_LEAST_FACE_PX: Final = 24
"""A portrait is a strip when a face in it would have to be narrower; looking for that takes minutes."""

_AROUND: Final = 2.0
"""Width of a face's neighbourhood, in widths of the face."""

_PORTRAIT_PX: Final = (320, 640)
"""A portrait's longer side is brought to within these: the detectors find no face in fewer pixels and gain nothing by more."""


class Recogniser:
    """One pack, loaded. Not for several threads at once."""

    def __init__(self, pack: Pack, threads: int) -> None:
        """Load and check the weights.

        Args:
            pack: where they are and what they must be.
            threads: how many the runtime may use.

        Raises:
            BadPack: a file is missing, another than the pack names or of another kind, or the parts do not go together.
        """
        self._pack = pack
        self.spec = spec = pack.spec
        self._threads = threads
        self.points_kind: Final = _points_kind(pack)
        self.inner: Final = align.inner(spec.alignment)
        self.detector: Final = self._detector()
        self._landmarks = self._opened(spec.landmarks.weights, Landmarks) if isinstance(spec.landmarks, Dlib5Spec) else None
        self._embedder = self._opened_embedder()
        self._passive = self._opened_passive()

    def faces(self, image: Image) -> list[Found]:
        """Return the faces in a frame, the widest first.

        Args:
            image: (height, width, 3) uint8, BGR.

        Raises:
            NotNumbers: a network gave something else.
        """
        largest = _LARGEST_FACE * min(image.shape[:2])
        found = self.detector.find(image, self.spec.quality.smallest_face_px, largest)
        return self._widest_first(image, found)

    def near(self, image: Image, face: Found) -> Found | None:
        """Return the one face where one was found before, or None where there is none or more.

        Args:
            image: (height, width, 3) uint8, BGR.
            face: where it was, in a frame before or by a look at the whole picture.

        Raises:
            NotNumbers: a network gave something else.
        """
        reach = (_AROUND - 1) / 2 * face.size
        left, top = max(0, int(face.left - reach)), max(0, int(face.top - reach))
        part = image[top : max(0, int(face.top + face.size + reach)), left : max(0, int(face.left + face.size + reach))]
        if not part.size:
            return None
        faces = self.detector.find(part, face.size, face.size)
        return faces[0].shifted(left, top) if len(faces) == 1 else None

    def _widest_first(self, image: Image, found: list[Found]) -> list[Found]:
        """Sort faces by size, and take the points of the widest from a closer look: those of a small copy lie less well."""
        faces = sorted(found, key=lambda face: -face.size)
        if faces and faces[0].points is not None and (closer := self.near(image, faces[0])):
            faces[0] = closer
        return faces

    def describe(self, image: Image, face: Found) -> tuple[Points, Image]:
        """Return the points of a face, pixels of the picture, and its cut-out, (size, size, 3) uint8, BGR.

        The points are those of `points_kind`: the detector's where it gives any, even when the cut-out is made by finer ones.

        Raises:
            OnePlace: the points all fall into one place, by which nothing can be cut out; that is no face.
        """
        seen = face.points
        match self.spec.alignment:
            case ArcfaceChipSpec():
                if seen is None:
                    raise ValueError("a face of another pack's detector")
                return seen, align.arcface(image, seen)
            case DlibChipSpec() as spec:
                if self._landmarks is None:
                    if seen is None:
                        raise ValueError("a face of another pack's detector")
                    return seen, align.chip(image, seen, spec, align.YUNET_MEAN)
                fine = self._landmarks(image, face)
                return fine if seen is None else seen, align.chip(image, fine, spec)
            case unknown:
                assert_never(unknown)

    def vector(self, chip: Image) -> Vector:
        """Return what stands for the face of a cut-out.

        Raises:
            NotNumbers: the network gave something else.
        """
        return self._embedder(chip)

    def reference(self, portrait: Image, condition: Condition) -> Vector | QualityCause:
        """Return what stands for the face of a portrait, or why there is none. Good for any picture with one main face.

        Args:
            portrait: (height, width, 3) uint8, BGR, of any size.
            condition: where it comes from: a chip's is enlarged, a document's reduced when it is large.

        Raises:
            NotNumbers: a network gave something else.
        """
        image = self.prepared(portrait, condition)
        width = image.shape[1]
        smallest = max(_LEAST_FACE_PX, self.spec.portrait.smallest_face * width)
        faces = self.detector.find(image, smallest, width)
        if not faces:
            return QualityCause.NO_FACE
        try:
            _, chip = self.describe(image, self._widest_first(image, faces)[0])
        except align.OnePlace:
            return QualityCause.NO_FACE
        return self.vector(chip)

    def prepared(self, portrait: Image, condition: Condition) -> Image:
        """Return a portrait at the size in which faces are found and described best."""
        least, most = _PORTRAIT_PX
        longer = max(portrait.shape[:2])
        wanted = longer * self.spec.portrait.enlarge if condition is Condition.CHIP else longer
        scale = min(max(wanted, least), most) / longer
        if scale == 1:
            return portrait
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        size = (max(1, round(portrait.shape[1] * scale)), max(1, round(portrait.shape[0] * scale)))
        return np.asarray(cv2.resize(portrait, size, interpolation=how), dtype=np.uint8)

    def alive(self, image: Image, face: Found) -> float | None:
        """Return how sure the pack's passive model is that a face is alive, 0 to 1; None where it has none.

        Raises:
            NotNumbers: the network gave something else.
        """
        return None if self._passive is None else self._passive(image, face)

    # --- loading ------------------------------------------------------------------------------------------------------

    def _detector(self) -> Detector:
        match self.spec.detector:
            case MmodSpec() as mmod:
                return self._opened(mmod.weights, lambda graph: Mmod(Model(graph, self._threads), mmod))
            case YunetSpec() as yunet:
                return self._opened(yunet.weights, lambda graph: Yunet(graph, self._threads, yunet))
            case unknown:
                assert_never(unknown)

    def _opened_embedder(self) -> Embedder:
        alignment = self.spec.alignment
        side = alignment.size_px if isinstance(alignment, DlibChipSpec) else align.ARCFACE_PX
        match self.spec.embedder:
            case DlibResnetSpec() as spec:
                takes, only_direction = Takes.CAMERA, False
            case SfaceSpec() as spec:
                takes, only_direction = Takes.PLANES_RGB, True
            case unknown:
                assert_never(unknown)

        def opened(graph: bytes) -> Embedder:
            model = Model(graph, self._threads, takes, size=(side, side))
            return Embedder(model, side, only_direction=only_direction)

        return self._opened(spec.weights, opened)

    def _opened_passive(self) -> Passive | None:
        spec = self.spec.liveness.passive
        if spec is None:
            return None
        size = (spec.input_px, spec.input_px)
        return self._opened(spec.weights, lambda graph: Passive(Model(graph, self._threads, Takes.PLANES_BGR, size=size), spec))

    def _opened(self, part: WeightsSpec, open_: Callable[[bytes], _Part]) -> _Part:
        """Read a file of weights and make of it what it is for.

        Raises:
            BadPack: it is not what the pack says.
        """
        data = self._pack.read(part)
        try:
            return open_(data)
        except (BadModel, NotNumbers) as err:
            path = str(self._pack.folder / part.file)
            raise BadPack(
                f"model file {path!r} of pack {self.spec.name!r} cannot be used: {err}. Take another file or pack"
            ) from err


def _points_kind(pack: Pack) -> PointsKind:
    """Return which points the parts of a pack give together.

    Raises:
        BadPack: they do not go together.
    """
    spec = pack.spec
    of_detector = isinstance(spec.detector, YunetSpec)
    if isinstance(spec.landmarks, OwnPointsSpec) and not of_detector:
        raise BadPack(
            f"model pack {spec.name!r}: its detector {spec.detector.kind!r} gives no points. Use landmarks of kind 'dlib-5'"
        )
    if isinstance(spec.alignment, ArcfaceChipSpec) and not isinstance(spec.landmarks, OwnPointsSpec):
        raise BadPack(f"model pack {spec.name!r}: alignment 'arcface-112' needs landmarks of kind 'of-detector'")
    return PointsKind.EYES_NOSE_MOUTH if of_detector else PointsKind.EYE_CORNERS

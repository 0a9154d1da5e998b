"""The dlib library as the `face_recognition` package uses it: detector, five points, cut-out, one vector, Euclidean distance."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import dlib
import numpy as np
from numpy.typing import NDArray

from models.load import Pack
from tests.models.packs import published_file

Image = NDArray[np.uint8]
Vector = NDArray[np.float32]

BUILD: Final = f"dlib {dlib.__version__} {'with' if dlib.DLIB_USE_BLAS else 'without'} BLAS"


class Peer:
    """Its parts on the pack's published weights. One thread, as dlib is."""

    def __init__(self, pack: Pack) -> None:
        cnn = dlib.cnn_face_detection_model_v1(published_file(pack, "detector"))
        self.hog: Callable[..., Any] = dlib.get_frontal_face_detector()
        self.cnn: Callable[..., Any] = lambda rgb, up=0: [found.rect for found in cnn(rgb, up)]
        self._points = dlib.shape_predictor(published_file(pack, "landmarks"))
        self._embedder = dlib.face_recognition_model_v1(published_file(pack, "embedder"))

    def chip(self, image: Image) -> Image | None:
        """Return the cut-out of the widest face found by HOG, enlarged once where it sees none, RGB; None without a face."""
        rgb = np.ascontiguousarray(image[..., ::-1])
        faces = self.hog(rgb, 0) or self.hog(rgb, 1)
        if not faces:
            return None
        face = max(faces, key=lambda found: found.width())
        return np.asarray(dlib.get_face_chip(rgb, self._points(rgb, face), size=150, padding=0.25), dtype=np.uint8)

    def vector(self, chip: Image) -> Vector:
        """Return what the library makes of a cut-out."""
        return np.array(self._embedder.compute_face_descriptor(chip), dtype=np.float32)

    def whole(self, image: Image, detect: Callable[..., Any], *, mirrored: bool = False) -> None:
        """Do all steps on a picture; `mirrored` describes the mirror image of the cut-out as well, as we do."""
        rgb = np.ascontiguousarray(image[..., ::-1])
        chip = dlib.get_face_chip(rgb, self._points(rgb, detect(rgb, 0)[0]), size=150, padding=0.25)
        self.vector(chip)
        if mirrored:
            self.vector(np.ascontiguousarray(chip[:, ::-1]))

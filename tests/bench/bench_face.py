"""How long one frame takes until it is judged, against the same steps done with the dlib library on the same frames.

One thread each. dlib does the same steps with the same weights: mmod detector on the whole frame, five points, cut-out, vector of
it and of its mirror image; and once more with its much faster HOG detector. Ours is the matcher: a whole frame searched every
fifth time and otherwise only the neighbourhood of the face, as the worker does it; and the frame that is searched whole by
itself, which is step for step what dlib does. dlib as published for Python is built without BLAS, which flatters us: therefore
also our time as a multiple of what the bare graphs take.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from itertools import islice
from statistics import mean
from typing import Any, Final

import cv2
import dlib
import numpy as np
from numpy.typing import NDArray

from kiosk.face.matcher import Matcher
from kiosk.face.model import Model
from kiosk.face.track import WHOLE_EVERY
from models.build.pack import build
from models.load import Pack
from models.shelf import Shelf
from system.simulate.film import HEIGHT, SCENES, WIDTH, pictures, portrait_of
from system.simulate.people import chip_portrait
from tests.bench.result import Result
from tests.models.packs import cut, mmod, published_file

ROUNDS: Final = 5

Image = NDArray[np.uint8]


def benchmarks() -> Iterator[Result]:
    """Yield the time a frame takes and its ratios to dlib's and to the bare graphs'."""
    cv2.setNumThreads(1)
    pack = Shelf().open("dlib")
    build(pack)
    ours, peer, bare = _Ours(pack), _Peer(pack), _Bare(pack)
    film = pictures(SCENES["right"])
    rounds = [list(islice(film, WHOLE_EVERY)) for _ in range(ROUNDS + 1)]
    ours(rounds[0])  # warm
    bare()
    mine, whole, with_mmod, with_hog, graphs = [], [], [], [], []
    for frames in rounds[1:]:
        each = ours(frames)
        mine.append(mean(each))
        whole.append(each[0])
        with_mmod.append(_ms(peer, frames[0], peer.mmod))
        with_hog.append(_ms(peer, frames[0], peer.hog))
        graphs.append(_ms(bare) / WHOLE_EVERY)
    yield Result.of("face: judge one frame", mine, "ms", goal="<=50")
    yield Result.of("face: judge one frame, all of it searched", whole, "ms")
    mmod, hog = "dlib with its mmod detector", "dlib with its HOG detector"
    yield Result.of("face: dlib's time to ours, mmod", _ratios(with_mmod, mine), "x", goal=">=10", peer=mmod)
    yield Result.of("face: dlib's to ours, all searched, mmod", _ratios(with_mmod, whole), "x", peer=mmod)
    yield Result.of("face: dlib's time to ours, HOG", _ratios(with_hog, mine), "x", goal=">=3", peer=hog)
    yield Result.of("face: our time to the bare graphs'", _ratios(mine, graphs), "x", peer="onnxruntime, the same graphs")


class _Ours:
    """The matcher with a reference, as the worker has it."""

    def __init__(self, pack: Pack) -> None:
        self._matcher = Matcher(pack, threads=1)
        portrait = cv2.imdecode(np.frombuffer(chip_portrait(portrait_of("right")), dtype=np.uint8), cv2.IMREAD_COLOR)
        self._portrait = np.asarray(portrait, dtype=np.uint8)

    def __call__(self, frames: list[Image]) -> list[float]:
        """Judge frames of one try; return the milliseconds of each. Nothing is known before the first: all of it is searched."""
        self._matcher.refer(self._portrait)
        times = []
        for number, frame in enumerate(frames):
            begun = time.perf_counter()
            glimpse = self._matcher.look(number, frame)
            times.append(1000 * (time.perf_counter() - begun))
            if glimpse.distance is None:
                raise RuntimeError("a frame of the film was of no use; the figure would be of something else")
        return times


class _Peer:
    """The same steps with the library."""

    def __init__(self, pack: Pack) -> None:
        cnn = dlib.cnn_face_detection_model_v1(published_file(pack, "detector"))
        self.mmod: Callable[[Image], Any] = lambda rgb: [found.rect for found in cnn(rgb, 0)]
        self.hog: Callable[[Image], Any] = dlib.get_frontal_face_detector()
        self._points = dlib.shape_predictor(published_file(pack, "landmarks"))
        self._embedder = dlib.face_recognition_model_v1(published_file(pack, "embedder"))

    def __call__(self, frame: Image, detect: Callable[[Image], Any]) -> None:
        rgb = np.ascontiguousarray(frame[..., ::-1])
        faces = detect(rgb)
        chip = dlib.get_face_chip(rgb, self._points(rgb, faces[0]), size=150, padding=0.25)
        for picture in (chip, np.ascontiguousarray(chip[:, ::-1])):
            self._embedder.compute_face_descriptor(picture)


class _Bare:
    """The graphs alone, run as often and on as many pixels as one whole search and the frames until the next one take."""

    def __init__(self, pack: Pack) -> None:
        spec = pack.spec
        self._detector = Model(pack.read(mmod(pack).weights), threads=1)
        self._embedder = Model(pack.read(spec.embedder.weights), threads=1)
        scales = [mmod(pack).window_px / spec.quality.smallest_face_px * mmod(pack).step ** n for n in range(8)]
        sizes = [(round(HEIGHT * scale), round(WIDTH * scale)) for scale in scales]
        whole = [size for size in sizes if min(size) >= mmod(pack).smallest_input_px]
        near = [(2 * mmod(pack).window_px,) * 2] * (WHOLE_EVERY - 1)
        self._searched = [np.zeros((1, *size, 3), dtype=np.uint8) for size in (*whole, *near)]
        self._pair = np.zeros((2, cut(pack).size_px, cut(pack).size_px, 3), dtype=np.uint8)

    def __call__(self) -> None:
        for picture in self._searched:
            self._detector(picture)
        for _ in range(WHOLE_EVERY):
            self._embedder(self._pair)


def _ms(work: Callable[..., object], *given: object) -> float:
    start = time.perf_counter()
    work(*given)
    return 1000 * (time.perf_counter() - start)


def _ratios(one: list[float], other: list[float]) -> list[float]:
    return [a / b for a, b in zip(one, other, strict=True)]

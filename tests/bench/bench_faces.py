"""How good, how fast and how large the face match is, beside the dlib library on the same pictures.

One thread each; medians; times are the processor's. Accuracy is measured on `shared/faces/orl`, which exercises the machinery and
proves nothing about the people the product is for, and on the pairs that RENZHENG_PAIRS names, for which the goals hold. The
library's cut-outs are described by the ONNX graph, which the first figure shows to be the same network and which is quicker.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from multiprocessing import active_children
from pathlib import Path
from statistics import mean
from typing import Final
from unittest.mock import patch

import cv2
import numpy as np
from numpy.typing import NDArray

from kiosk.cards.document import Portrait
from kiosk.clock import SystemClock
from kiosk.face import picture
from kiosk.face.matcher import Matcher
from kiosk.face.model import Model
from kiosk.face.pairs import Pair, people_in, read_pairs
from kiosk.face.recogniser import Recogniser
from kiosk.face.track import WHOLE_EVERY
from kiosk.face.worker import FaceWorker
from kiosk.settings import FaceSettings
from models.build.pack import build
from models.load import Pack
from models.shelf import Shelf
from sync_agent.contract.kinds import Condition, Scoring
from system.simulate.film import SCENES, pictures, portrait_of, still_of
from system.simulate.people import chip_portrait
from tests.bench.dlib_peer import BUILD, Peer, Vector
from tests.bench.faces_accuracy import Sides, described, equal_errors, missed
from tests.bench.result import Result
from tests.shared import beside

ROUNDS: Final = 5
CHIPS: Final = 10
SMALL: Final = (240, 320)
"""Rows and columns of the picture for the ratio to the library."""

WEAK: Final = (("with the photos alone", Scoring.EUCLIDEAN, "<=0.8"), ("with a mean", Scoring.CENTRED, "<=0.65"))
COHORTS: Final = (Scoring.COHORT, Scoring.CENTRED_COHORT)
WORSE: Final = 0.36
"""Photos of 92 x 112 pixels are reduced by this, to faces of about 25."""

PAIRS: Final = "RENZHENG_PAIRS"

Image = NDArray[np.uint8]


def benchmarks() -> Iterator[Result]:
    """Yield parity, accuracy, times and memory."""
    cv2.setNumThreads(1)
    pack = Shelf().open("dlib")
    build(pack)
    peer, recogniser = Peer(pack), Recogniser(pack, threads=1)
    graph = Model(pack.read(pack.spec.embedder.weights), threads=1)

    def vector(chip: Image) -> Vector:
        return np.asarray(graph(chip[None, ..., ::-1])[0], dtype=np.float32)

    yield _parity(peer, vector)
    yield from _times(pack, recogniser, peer)
    yield asyncio.run(_memory())
    yield from _accuracy(recogniser, peer, vector)


# --- the same network -------------------------------------------------------------------------------------------------


def _parity(peer: Peer, vector: Callable[[Image], Vector]) -> Result:
    frames = [still_of("right"), still_of("impostor"), *islice(pictures(SCENES["right"]), 0, CHIPS * 15, 15)][:CHIPS]
    chips = [chip for frame in frames if (chip := peer.chip(frame)) is not None]
    apart = max(float(np.abs(peer.vector(chip) - vector(chip)).max()) for chip in chips)
    return Result.of("faces: largest difference of a vector", [apart], "", goal="<=1e-5", peer=f"dlib, {len(chips)} cut-outs")


# --- how good ---------------------------------------------------------------------------------------------------------


def _accuracy(recogniser: Recogniser, peer: Peer, vector: Callable[[Image], Vector]) -> Iterator[Result]:
    orl = beside("faces/orl/pairs.csv")
    given = os.environ.get(PAIRS)
    for name, path, is_proof in (("ORL", orl, False), ("given pairs", Path(given) if given else None, True)):
        if path is None or not path.exists():
            why = "shared/faces/orl is not beside the checkout" if name == "ORL" else f"{PAIRS} names no list of pairs"
            yield Result.missing(f"faces: equal error rate to dlib's, {name}", "x", why, goal="<=1.05", peer="dlib, HOG")
            continue
        pairs = read_pairs(path)
        for condition in Condition:
            sides = described(recogniser, peer, vector, pairs, people_in(pairs), condition)
            yield from _equal_errors(f"{name}, {condition}", sides)
            if is_proof:
                yield from _missed(f"{name}, {condition}", sides, is_proof=True)
        if not is_proof:
            with tempfile.TemporaryDirectory() as folder:
                sides = described(recogniser, peer, vector, *_worsened(pairs, Path(folder)), Condition.CHIP)
                yield from _missed(f"{name} made worse", sides, is_proof=False)


def _equal_errors(name: str, sides: Sides) -> Iterator[Result]:
    ours, peers = equal_errors(sides)
    yield Result.of(f"faces: equal error rate, {name}", [100 * ours], "%")
    yield Result.of(f"faces: dlib's equal error rate, {name}", [100 * peers], "%", peer="dlib, HOG")
    lost = [gallery.failures.total() for gallery in (sides.ours, sides.peer)]
    yield Result.of(f"faces: pictures without a face, {name}", [lost[0]], "")
    yield Result.of(f"faces: dlib's pictures without a face, {name}", [lost[1]], "", peer="dlib, HOG")
    title = f"faces: equal error rate to dlib's, {name}"
    if peers:
        yield Result.of(title, [ours / peers], "x", goal="<=1.05", peer="dlib, HOG, pairs both found")
    else:
        yield Result.missing(title, "x", f"dlib has no errors there, we have {ours:.2%}", goal="<=1.05", peer="dlib, HOG")


def _missed(name: str, sides: Sides, *, is_proof: bool) -> Iterator[Result]:
    """Yield right people missed at FMR 1e-2 to the library's; a goal only where the pairs can prove it."""
    rows = [(*row, (row[1],)) for row in WEAK] + [("with a cohort", COHORTS[0], "<=0.5", COHORTS)]
    for how, _, bound, scorings in rows:
        title = f"faces: missed at 1e-2 to dlib's, {how}, {name}"
        goal = bound if is_proof else ""
        found = [missed(sides, scoring) for scoring in scorings]
        told = [each for each in found if not isinstance(each, str)]
        if not told:
            yield Result.missing(title, "x", next(each for each in found if isinstance(each, str)), goal=goal, peer="dlib, HOG")
            continue
        ours, peers = min(told)
        peer = f"dlib, HOG: {peers:.1%}, ours {ours:.1%}"
        if peers:
            yield Result.of(title, [ours / peers], "x", goal=goal, peer=peer)
        else:
            yield Result.missing(title, "x", "dlib misses nobody there", goal=goal, peer="dlib, HOG")


def _worsened(pairs: Sequence[Pair], folder: Path) -> tuple[list[Pair], dict[Path, int]]:
    """Return the pairs with photos of a third of their size, so that the weights err on them, and who is on each picture."""
    people = people_in(pairs)
    smaller: dict[Path, Path] = {}
    for path in dict.fromkeys(pair.probe for pair in pairs):
        smaller[path] = folder / f"{len(smaller)}.jpg"
        reduced = cv2.resize(picture.read(path), None, fx=WORSE, fy=WORSE, interpolation=cv2.INTER_AREA)
        cv2.imwrite(str(smaller[path]), reduced, [cv2.IMWRITE_JPEG_QUALITY, 60])
    changed = [Pair(pair.portrait, smaller[pair.probe], pair.same) for pair in pairs]
    return changed, people | {smaller[path]: people[path] for path in smaller}


# --- how fast ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Round:
    """Milliseconds of processor time, of one round."""

    judged: float
    small: float
    hog: float
    cnn: float
    equal: float
    bare: float


def _times(pack: Pack, recogniser: Recogniser, peer: Peer) -> Iterator[Result]:
    frame = still_of("right")
    top, left = (frame.shape[0] - SMALL[0]) // 2, (frame.shape[1] - SMALL[1]) // 2
    small = np.ascontiguousarray(frame[top : top + SMALL[0], left : left + SMALL[1]])
    matcher = Matcher(pack, threads=1)
    card = cv2.imdecode(np.frombuffer(chip_portrait(portrait_of("right")), dtype=np.uint8), cv2.IMREAD_COLOR)
    film = pictures(SCENES["right"])
    bare = _Bare(lambda: _whole(recogniser, small))
    rounds = []
    for _ in range(ROUNDS + 1):
        frames = list(islice(film, WHOLE_EVERY))
        matcher.refer(np.asarray(card, dtype=np.uint8))
        judged = [_ms(partial(matcher.look, number, each)) for number, each in enumerate(frames)]
        ours = mean(_ms(lambda: _whole(recogniser, small)) for _ in range(3))
        hog, cnn = (_ms(partial(peer.whole, small, detect)) for detect in (peer.hog, peer.cnn))
        equal = _ms(partial(peer.whole, small, peer.hog, mirrored=True))
        rounds.append(_Round(mean(judged), ours, hog, cnn, equal, mean(bare() for _ in range(3))))
    warm = rounds[1:]
    yield Result.of("faces: judge one frame of 640x480", [each.judged for each in warm], "ms", goal="<=50")
    yield Result.of("faces: find, cut, describe at 320x240", [each.small for each in warm], "ms")
    name = "faces: the same to dlib's with"
    yield Result.of(f"{name} HOG", [each.small / each.hog for each in warm], "x", goal="<=0.2", peer=BUILD)
    yield Result.of(f"{name} its CNN", [each.small / each.cnn for each in warm], "x", goal="<=0.05", peer=BUILD)
    with_mirror = f"{BUILD}, which then describes the mirror image too, as we do"
    yield Result.of(f"{name} HOG, equal work", [each.small / each.equal for each in warm], "x", peer=with_mirror)
    graphs = "onnxruntime, the same graphs on as many pixels"
    yield Result.of(
        "faces: the same to the bare graphs'", [each.small / each.bare for each in warm], "x", goal="<=1.3", peer=graphs
    )


def _whole(recogniser: Recogniser, image: Image) -> None:
    """Find, cut out and describe the face of a picture of which nothing is known."""
    _, chip = recogniser.describe(image, recogniser.faces(image)[0])
    recogniser.vector(chip)


class _Bare:
    """The runs of graphs that some work takes, by themselves."""

    def __init__(self, work: Callable[[], object]) -> None:
        """Do the work once and note which graph was given what."""
        runs: list[tuple[Model, Image]] = []
        real: Final = Model.all

        def noted(model: Model, images: Image) -> list[NDArray[np.float32]]:
            runs.append((model, images.copy()))
            return real(model, images)

        with patch.object(Model, "all", noted):  # no part of the product tells which graphs it runs
            work()
        self._runs = runs

    def __call__(self) -> float:
        """Return the milliseconds they take."""
        return sum(_ms(partial(model.all, images)) for model, images in self._runs)


def _ms(work: Callable[[], object]) -> float:
    """Return the processor time of some work: what others do on the machine meanwhile does not count."""
    start = time.process_time()
    work()
    return 1000 * (time.process_time() - start)


# --- how large --------------------------------------------------------------------------------------------------------


async def _memory() -> Result:
    """Return the most memory the worker's process ever held while it judged frames."""
    title, goal = "faces: the face process, largest", "<=250"
    before = set(active_children())
    worker = FaceWorker(FaceSettings(), SystemClock())
    await worker.start()
    try:
        process = next(iter(set(active_children()) - before))
        await worker.refer(Portrait(portrait_of("right"), "film"), Condition.DOCUMENT)
        for number, image in enumerate(islice(pictures(SCENES["right"]), 30), start=1):
            worker.offer(_Frame(number, image, number / 15))
            await worker.glimpse(5.0)
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        await worker.stop()
    kilobytes = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return Result.of(title, [kilobytes / 1024], "MB", goal=goal)


@dataclass(frozen=True, slots=True)
class _Frame:
    number: int
    image: Image
    at: float

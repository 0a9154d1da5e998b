"""Does the picture stay even while faces are matched? Real stage, film camera and face worker, rounds with and without matching.

The interval is from the beginning of one turn of the render loop to that of the next; a turn takes touches and draws what
changed. From picture to picture would show how the camera's clock beats against the loop's; so pictures are given as a rate. Both
kinds of round show the preview of the open camera as the desk does, and the worker's process is up in both. With matching, one
decision after the other is made and its hints go to the screen. The film shows 30 pictures a second, as the Pi's camera does.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from kiosk.cameras.base import Camera
from kiosk.cameras.kinds import open_camera
from kiosk.cameras.picamera import RATE
from kiosk.cameras.preview import preview_of
from kiosk.cards.document import Portrait
from kiosk.clock import SystemClock
from kiosk.desk import PREVIEW_S
from kiosk.face.result import Glimpse, Step
from kiosk.face.verify import verify
from kiosk.face.worker import FaceWorker
from kiosk.screens.pages import Face, Text
from kiosk.screens.stage import TICK_S, Stage
from kiosk.settings import CameraSettings, FaceSettings
from sync_agent.contract.kinds import Outcome
from system.simulate.film import HEIGHT, SCENES, WIDTH, pictures, portrait_of
from system.simulate.people import chip_portrait
from tests.bench.result import Result

ROUNDS: Final = 5
ROUND_S: Final = 4.0
DEADLINE_S: Final = 20.0
DRAWN: Final = 100
"""Pictures drawn for one round of the cost of drawing."""

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class _Round:
    """What one round gave.

    Attributes:
        p95: of the intervals between the beginnings of turns, ms.
        drawn: pictures put on the screen, a second.
        judged: frames the worker judged, a second.
    """

    p95: float
    drawn: float
    judged: float


class _Watched(Stage):
    """The stage, noting when each turn of its loop begins."""

    def __init__(self) -> None:
        super().__init__(monotonic=time.monotonic)
        self.turns_s: list[float] = []

    def tick(self) -> bool:
        """Take a turn."""
        self.turns_s.append(time.monotonic())
        return super().tick()


@dataclass(frozen=True, slots=True)
class _Still:
    preview: Image


def benchmarks() -> Iterator[Result]:
    """Yield the interval without matching and with it, their ratio, and how much was drawn and judged."""
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="renzheng-") as folder:
        film = Path(folder) / "right.avi"
        _shoot(film)
        pairs = asyncio.run(_pairs(film))
    rest, matching = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    yield Result.of("render: frame interval p95, at rest", [r.p95 for r in rest], "ms")
    goal = f"<={1000 * TICK_S * 1.25:.0f}"
    yield Result.of("render: frame interval p95, matching runs", [r.p95 for r in matching], "ms", goal=goal)
    ratios = [b.p95 / a.p95 for a, b in pairs]
    yield Result.of("render: p95 with matching to p95 without", ratios, "x", goal="<=1.2", peer="the same loop without matching")
    yield Result.of("render: frames drawn, at rest", [r.drawn for r in rest], "/s")
    yield Result.of("render: frames drawn, matching runs", [r.drawn for r in matching], "/s")
    yield Result.of("render: frames judged meanwhile", [r.judged for r in matching], "/s")
    yield Result.of("render: draw one preview frame", _drawing(), "ms")


async def _pairs(film: Path) -> list[tuple[_Round, _Round]]:
    """Return the rounds in pairs: first without matching, then with it."""
    clock = SystemClock()
    camera = open_camera(CameraSettings(kind="replay", film=film), clock)
    worker = FaceWorker(FaceSettings(), clock)
    stage = _Watched()
    stage.open()
    try:
        await worker.start()
        await camera.open()
        await _round(stage, camera, worker)  # warm
        return [(await _round(stage, camera, None), await _round(stage, camera, worker)) for _ in range(ROUNDS)]
    finally:
        await camera.close()
        await worker.stop()
        stage.close()


async def _round(stage: _Watched, camera: Camera, worker: FaceWorker | None) -> _Round:
    """Show the preview for the length of a round; with a worker, match meanwhile."""
    stage.show(Face(Text("face.hint.good"), 0.0))
    beside = [asyncio.create_task(stage.run()), asyncio.create_task(_preview(stage, camera))]
    judged: list[Glimpse] = []
    stage.turns_s.clear()
    drawn = stage.pace.presented
    begun = time.monotonic()
    if worker is None:
        await asyncio.sleep(ROUND_S)
    else:
        await _match(stage, camera, worker, judged, begun + ROUND_S)
    lasted_s = time.monotonic() - begun
    for task in beside:
        if task.done():
            task.result()  # neither ends by itself
        task.cancel()
    await asyncio.wait(beside)
    p95 = float(1000 * np.percentile(np.diff(stage.turns_s), 95))
    return _Round(p95, (stage.pace.presented - drawn) / lasted_s, len(judged) / lasted_s)


async def _preview(stage: Stage, camera: Camera) -> None:
    """Hand every new picture of the camera to the stage, asking as often as the desk does."""
    shown = 0
    while True:
        frame = camera.newest()
        if frame and frame.number != shown:
            shown = frame.number
            stage.preview(frame)
        await asyncio.sleep(PREVIEW_S)


async def _match(stage: Stage, camera: Camera, worker: FaceWorker, judged: list[Glimpse], until: float) -> None:
    """Make one decision after the other until a monotonic time, and say on the stage how far each is.

    Raises:
        RuntimeError: a decision was another than the film's; the figures would be of something else.
    """

    def glimpsed(step: Step) -> None:
        if step.glimpse is not None:
            judged.append(step.glimpse)
        stage.show(Face(Text("face.hint.good"), step.progress))

    jpeg = np.frombuffer(chip_portrait(portrait_of("right")), dtype=np.uint8)
    portrait = Portrait(np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_COLOR), dtype=np.uint8), "jpeg")
    settings = FaceSettings(deadline_s=DEADLINE_S, challenge_turns=0)
    while time.monotonic() < until:
        decided = await verify(worker, camera, portrait, settings=settings, clock=SystemClock(), on_step=glimpsed)
        if decided.outcome is not Outcome.MATCH:
            raise RuntimeError(f"the right person came out as {decided.outcome}")


def _drawing() -> list[float]:
    """Return the mean time of one picture with the page around it unchanged, ms, for each round."""
    stage = Stage(monotonic=time.monotonic)
    stage.open()
    try:
        stage.show(Face(Text("face.hint.good"), 0.5))
        stage.tick()
        stills = [_Still(preview_of(picture)) for picture in islice(pictures(SCENES["right"]), 4)]
        return [_mean_ms(stage, stills) for _ in range(ROUNDS)]
    finally:
        stage.close()


def _mean_ms(stage: Stage, stills: Sequence[_Still]) -> float:
    begun = time.perf_counter()
    for number in range(DRAWN):
        stage.preview(stills[number % len(stills)])
        stage.tick()
    return 1000 * (time.perf_counter() - begun) / DRAWN


def _shoot(path: Path) -> None:
    """Make the film of the right person at the rate of the Pi's camera; the demo's has half as many pictures a second."""
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, cv2.VideoWriter.fourcc(*"MJPG"), RATE, (WIDTH, HEIGHT))
    for picture in pictures(SCENES["right"]):
        writer.write(picture)
    writer.release()

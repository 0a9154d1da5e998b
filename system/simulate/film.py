"""Films for the camera and portraits for cards, made at set-up from two pictures that come with scikit-image.

The right person is NASA's portrait of an astronaut (public domain); the impostor is one of the 25 x 25 pixel faces of the
``lfw_subset`` array, enlarged. Film and portrait of the right person come from one photograph: what they show is that the path
works, not how well faces are told apart. Heads that turn are a photograph with an average head's depth (`head`). The same code
always makes the same frames.
"""

from __future__ import annotations

import fcntl
import hashlib
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage import data

from system.simulate import head as heads
from system.simulate.head import Head, Turn

Image = NDArray[np.uint8]

WIDTH: Final = 640
HEIGHT: Final = 480
FPS: Final = 15
IMPOSTOR: Final = 71
"""Which face of ``lfw_subset`` is the impostor: frontal, sharp for its size, and far from the astronaut's."""

TURN_DEG: Final = 28.0
"""How far somebody turns their head who is asked to."""

_TURNING: Final = (0.08, 0.26, 0.62, 0.80)
"""When the head begins to turn, is turned, begins to turn back, looks straight again; fractions of the film."""

_POINTS: Final = {
    "right": ((200.8, 101.6), (247.2, 102.8), (228.5, 125.0), (204.8, 141.2), (240.8, 141.0)),
    "impostor": ((63.9, 101.1), (151.7, 96.9), (107.0, 150.9), (78.1, 190.8), (147.7, 188.1)),
}
"""Eyes, tip of the nose and corners of the mouth in the two pictures, set by hand."""

_DATA: Any = data  # published without types
_FACE: Final = 2.2
"""Width of a face, in distances of the eyes."""

_SEED: Final = 20
_NOISE: Final = 2.5
"""Standard deviation of the sensor's noise, grey levels."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody in front of the camera.

    Attributes:
        who: "right" or "impostor".
        face_px: width of the face in the frame.
        x: middle of the face, as a fraction of the frame's width.
        y: middle of the face, as a fraction of the frame's height.
        turns_deg: so far the head is turned once and back; positive to the person's own left, which is the frame's right.
    """

    who: str
    face_px: float
    x: float = 0.5
    y: float = 0.48
    turns_deg: float = 0.0


@dataclass(frozen=True, slots=True)
class Scene:
    """What a film shows.

    Attributes:
        actors: from the back to the front.
        light: factor on all grey values.
        blur_px: standard deviation of a lens out of focus.
        seconds: after this long it begins again without a jump.
    """

    actors: tuple[Actor, ...]
    light: float = 1.0
    blur_px: float = 0.0
    seconds: int = 4


SCENES: Final = {
    "right": Scene((Actor("right", 150),), seconds=10),
    "impostor": Scene((Actor("impostor", 150),), seconds=10),
    "nobody": Scene(()),
    "two-people": Scene((Actor("impostor", 120, x=0.27), Actor("right", 130, x=0.7))),
    "far": Scene((Actor("right", 72),)),
    "dark": Scene((Actor("right", 150),), light=0.18),
    "blurred": Scene((Actor("right", 150),), blur_px=6.0),
    "right-turns-left": Scene((Actor("right", 150, turns_deg=TURN_DEG),), seconds=5),
    "right-turns-right": Scene((Actor("right", 150, turns_deg=-TURN_DEG),), seconds=5),
}
"""The films by name; each becomes NAME.avi."""


def make_films(folder: Path) -> None:
    """Make every film that is not there yet, each whole or not at all; films of an older recipe are made anew.

    Whoever comes while another makes them waits.
    """
    folder.mkdir(parents=True, exist_ok=True)
    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        _make_films(folder)
    finally:
        os.close(held)


def _make_films(folder: Path) -> None:
    recipe = hashlib.sha256(Path(__file__).read_bytes() + Path(heads.__file__).read_bytes()).hexdigest()
    stamp = folder / "recipe"
    is_current = stamp.exists() and stamp.read_text() == recipe
    for name, scene in SCENES.items():
        path = folder / f"{name}.avi"
        if not (is_current and path.exists()):
            shoot(scene, path)
    stamp.write_text(recipe)


def shoot(scene: Scene, path: Path) -> None:
    """Make one film: motion JPEG in AVI, 640 x 480 at 15 frames a second.

    Raises:
        OSError: it cannot be written.
    """
    part = path.with_suffix(".part.avi")
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(part), cv2.CAP_OPENCV_MJPEG, codec, FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise OSError(f"film {str(part)!r} cannot be written; is the folder there and is there room?")
    try:
        for picture in pictures(scene):
            writer.write(picture)
    finally:
        writer.release()
    part.replace(path)


def pictures(scene: Scene) -> Iterator[Image]:
    """Yield the pictures of a film from its first to its last."""
    random = np.random.default_rng(_SEED)
    grain = random.normal(0, _NOISE, (HEIGHT + 64, WIDTH + 64, 3)).astype(np.float32)
    count = scene.seconds * FPS
    for number in range(count):
        dx, dy = random.integers(0, 64, 2)
        yield _frame(scene, number / count, grain[dy : dy + HEIGHT, dx : dx + WIDTH])


def still_of(who: str) -> Image:
    """Return a sharp, still frame of "right" or "impostor" in front of the camera, or of the empty room for "nobody"."""
    return _frame(SCENES[who], 0.0, np.zeros((HEIGHT, WIDTH, 3), dtype=np.float32))


def before_camera(picture: Image, points: NDArray[np.float32], phase: float = 0.0) -> Image:
    """Return a frame without noise in which the person of a photograph sits where those of the films do.

    Args:
        picture: (height, width, 3) uint8, BGR.
        points: as `head.Points`, of the photograph before any head in it was turned.
        phase: of their swaying, radians.
    """
    middle = points.mean(axis=0)
    width = _FACE * float(np.linalg.norm(points[1] - points[0]))
    frame = _put(_room(), picture, ((float(middle[0]), float(middle[1])), width), Actor("", 150), phase)
    return np.asarray(np.clip(frame, 0, 255), dtype=np.uint8)


def portrait_of(who: str) -> Image:
    """Return the portrait of "right" or "impostor", from which a card's is made: (height, width, 3) uint8, BGR."""
    actor = SCENES[who].actors[0]
    wide, high = 1.9 * actor.face_px, 2.34 * actor.face_px
    left, top = round(actor.x * WIDTH - wide / 2), round(actor.y * HEIGHT - 0.46 * high)
    return np.ascontiguousarray(still_of(who)[top : top + round(high), left : left + round(wide)])


@cache
def head_of(who: str) -> Head:
    """Return the head of "right" or "impostor"."""
    return Head(_picture(who)[0], np.array(_POINTS[who], dtype=np.float32))


@lru_cache(maxsize=64)
def _turned(who: str, yaw_deg: float) -> Image:
    return head_of(who).turned(Turn(yaw_deg)) if yaw_deg else _picture(who)[0]


def _yaw_deg(actor: Actor, passed: float) -> float:
    """Return how far somebody's head is turned when so much of the film has passed, 0 to 1."""
    part = float(np.interp(passed, _TURNING, (0, 1, 1, 0)))
    return round(actor.turns_deg * part * part * (3 - 2 * part), 1)


@cache
def _picture(who: str) -> tuple[Image, tuple[float, float], float]:
    """Return somebody's picture, and where in it the middle of the face is and how wide the face, pixels."""
    if who == "right":
        return np.ascontiguousarray(_DATA.astronaut()[..., ::-1]), (216.0, 118.0), 104.0
    grey = np.asarray(_DATA.lfw_subset()[IMPOSTOR] * 255 + 0.5, dtype=np.uint8)
    large = cv2.resize(grey, (250, 250), interpolation=cv2.INTER_LANCZOS4)
    return np.asarray(cv2.cvtColor(large, cv2.COLOR_GRAY2BGR), dtype=np.uint8), (125.0, 132.0), 190.0


def _frame(scene: Scene, turn: float, noise: NDArray[np.float32]) -> Image:
    """Return one frame.

    Args:
        scene: what it shows.
        turn: how much of the film has passed, 0 to 1; everything that moves is back where it began at 1.
        noise: (HEIGHT, WIDTH, 3), added to the grey values.
    """
    frame = _room()
    for index, actor in enumerate(scene.actors):
        picture = _turned(actor.who, _yaw_deg(actor, turn))
        frame = _put(frame, picture, _picture(actor.who)[1:], actor, 2 * math.pi * (turn + index / 3))
    if scene.blur_px:
        frame = np.asarray(cv2.GaussianBlur(frame, (0, 0), scene.blur_px), dtype=np.float32)
    light = scene.light * (1 + 0.06 * math.sin(2 * math.pi * turn))
    return np.asarray(np.clip(frame * light + noise, 0, 255), dtype=np.uint8)


@cache
def _room() -> NDArray[np.float32]:
    """Return an empty room: a wall that is lighter on one side, a darker floor, a door frame."""
    across = np.linspace(165, 125, WIDTH, dtype=np.float32)
    wall = np.repeat(across[None, :], HEIGHT, axis=0)
    wall[400:] *= 0.7
    cv2.rectangle(wall, (500, 60), (600, 400), 110.0, 4)
    tint = np.array([0.97, 1.0, 1.03], dtype=np.float32)
    return np.asarray(cv2.GaussianBlur(wall, (0, 0), 2.0)[..., None] * tint, dtype=np.float32)


def _put(
    frame: NDArray[np.float32], picture: Image, place: tuple[tuple[float, float], float], actor: Actor, phase: float
) -> NDArray[np.float32]:
    """Put somebody into the frame: swaying, nodding, coming a little nearer; edges of the picture fade into the room.

    `place` is the middle of the face in the picture, and its width.
    """
    (x, y), face = place
    height, width = picture.shape[:2]
    scale = actor.face_px / face * (1 + 0.02 * math.sin(phase))
    angle = 1.5 * math.sin(2 * phase)
    to = (
        actor.x * WIDTH + 0.06 * actor.face_px * math.sin(phase),
        actor.y * HEIGHT + 0.03 * actor.face_px * math.sin(2 * phase + 1),
    )
    matrix = np.array(cv2.getRotationMatrix2D((x, y), angle, scale), dtype=np.float64)
    matrix[:, 2] += np.array(to) - (x, y)
    fade = max(4, min(height, width) // 12)
    mask = np.zeros((height, width), dtype=np.float32)
    mask[fade:-fade, fade:-fade] = 1
    soft = cv2.GaussianBlur(mask, (0, 0), fade / 2.5)
    smooth = cv2.GaussianBlur(picture, (0, 0), 0.5 / scale) if scale < 0.8 else picture
    how = cv2.INTER_LINEAR if scale < 1 else cv2.INTER_CUBIC
    moved = cv2.warpAffine(smooth, matrix, (WIDTH, HEIGHT), flags=how).astype(np.float32)
    shown = cv2.warpAffine(soft, matrix, (WIDTH, HEIGHT), flags=cv2.INTER_LINEAR)[..., None]
    return np.asarray(frame * (1 - shown) + moved * shown, dtype=np.float32)

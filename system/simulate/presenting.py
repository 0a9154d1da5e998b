"""Who stands before the camera of a liveness test: a living person who turns as asked, or somebody with paper or a film.

All of it is synthetic: heads are photographs with an average depth (`head`). It shows that the tests work, and nothing about
real attacks. As a program it makes the set of clips that `kiosk evaluate --challenge` reads:

    python -m system.simulate.presenting FOLDER
"""

from __future__ import annotations

import csv
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from kiosk.face.result import Ask
from system.simulate.film import HEIGHT, WIDTH, before_camera, head_of, portrait_of, still_of
from system.simulate.head import Head, Turn, cut_out, sheet
from system.simulate.people import chip_portrait

Image = NDArray[np.uint8]

FPS: Final = 10
SIDES: Final = ((Ask.LEFT, Ask.RIGHT), (Ask.RIGHT, Ask.RIGHT), (Ask.RIGHT, Ask.LEFT), (Ask.LEFT, Ask.LEFT))

_NOISE: Final = 2.5
_SWAY_S: Final = 10.0
_BEND_DEG: Final = 110.0
_STILL_DEG: Final = 30.0
_REACHES_S: Final = 0.5
_FIRST_S: Final = 1.6
_EACH_S: Final = 2.5


class Kind(StrEnum):
    """What is presented.

    A replay is a film of the victim's turns to other sides, a splice one in which somebody else turns in the victim's stead, and
    in `moved` the victim suddenly sits elsewhere, as when a film is cut. Stills are photographs of the victim, straight and
    turned to either side, one after the other as the page asks; with a gap there is nobody to be seen between them.
    """

    LIVING = "living"
    FLAT = "flat-print"
    BENT = "bent-print"
    CUT_OUT = "cut-out"
    REPLAY = "replay"
    SPLICE = "splice"
    MOVED = "moved"
    STILLS = "stills"
    STILLS_GAP = "stills-gap"


_GAPS_S: Final = {Kind.STILLS: 0.0, Kind.STILLS_GAP: 0.7}


class Neck:
    """How far a head is turned at any time: after a moment, at a pace, never twice the same."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._from = self._to = 0.0
        self._begins = self._ends = 0.0

    def asked(self, ask: Ask, at: float) -> None:
        """Begin to do what is asked, soon after a time in seconds."""
        self._from = self.yaw_deg(at)
        reach = self._chance.uniform(26, 32)
        self._to = {Ask.STRAIGHT: self._chance.uniform(-2, 2), Ask.LEFT: reach, Ask.RIGHT: -reach}[ask]
        self._begins = at + self._chance.uniform(0.25, 0.6)
        self._ends = self._begins + self._chance.uniform(0.5, 1.0)

    def yaw_deg(self, at: float) -> float:
        """Return the turn, degrees, positive to the person's left."""
        part = min(1.0, max(0.0, (at - self._begins) / max(self._ends - self._begins, 1e-6)))
        return self._from + (self._to - self._from) * part * part * (3 - 2 * part)


class Stills:
    """Which photograph is held up at any time: soon after a prompt the one is taken away, and after a gap there is the next."""

    def __init__(self, gap_s: float) -> None:
        """Begin with the one that looks straight ahead."""
        self._gap_s = gap_s
        self._from = self._to = 0.0
        self._gone = 0.0

    def asked(self, ask: Ask, at: float) -> None:
        """Reach for the photograph that shows what is asked."""
        self._from, self._gone = self._to, at + _REACHES_S
        self._to = {Ask.STRAIGHT: 0.0, Ask.LEFT: _STILL_DEG, Ask.RIGHT: -_STILL_DEG}[ask]

    def yaw_deg(self, at: float) -> float | None:
        """Return how far the head on it is turned, degrees; None while there is none."""
        if at < self._gone:
            return self._from
        return None if at < self._gone + self._gap_s else self._to


@dataclass(frozen=True, slots=True)
class Cast:
    """Whose face is to be passed off, and who tries it."""

    victim: Head
    attacker: Head


class Presenter:
    """One presentation, frame by frame. Times are seconds from its beginning."""

    def __init__(self, kind: Kind, cast: Cast, seed: int, recorded: tuple[Ask, ...] = ()) -> None:
        """Begin looking straight ahead.

        Args:
            kind: what is presented.
            cast: by whom.
            seed: of everything left to chance.
            recorded: of a replay, the sides that the film turns to, whatever is asked.
        """
        self._kind = kind
        self._cast = cast
        self._neck = Stills(_GAPS_S[kind]) if kind in _GAPS_S else Neck(seed)
        self._grain = np.random.default_rng(seed)
        self._turns = 0
        self._last = Ask.STRAIGHT
        self._recorded = list(timeline(recorded)) if kind is Kind.REPLAY else []
        self._drawn: dict[tuple[int, bool], Image] = {}

    def asked(self, ask: Ask, at: float) -> None:
        """Be asked for something; a repetition changes nothing, and a film does not hear."""
        if ask is not self._last and self._kind is not Kind.REPLAY:
            self._neck.asked(ask, at)
        self._turns += ask is not Ask.STRAIGHT and ask is not self._last
        self._last = ask

    def picture(self, at: float) -> Image:
        """Return the frame of a time, (480, 640, 3) uint8, BGR."""
        while self._recorded and self._recorded[0][1] <= at:
            self._neck.asked(*self._recorded.pop(0))
        is_other = self._kind is Kind.SPLICE and self._last is not Ask.STRAIGHT
        whose = self._cast.attacker if is_other else self._cast.victim
        held_deg = self._neck.yaw_deg(at)
        if held_deg is None:
            return self._grainy(still_of("nobody"))
        yaw_deg = round(held_deg)
        key = (yaw_deg, is_other)
        if key not in self._drawn:
            self._drawn[key] = self._draw(whose, float(yaw_deg))
        points = self._cast.attacker.points if self._kind is Kind.CUT_OUT else whose.points
        frame = before_camera(self._drawn[key], points, 2 * np.pi * at / _SWAY_S)
        if self._kind is Kind.MOVED and self._turns:
            frame = np.roll(frame, WIDTH // 6, axis=1)
        return self._grainy(frame)

    def _grainy(self, frame: Image) -> Image:
        noise = self._grain.normal(0, _NOISE, (HEIGHT, WIDTH, 1))
        return np.asarray(np.clip(frame + noise, 0, 255), dtype=np.uint8)

    def _draw(self, whose: Head, yaw_deg: float) -> Image:
        match self._kind:
            case Kind.FLAT:
                return sheet(whose, yaw_deg)
            case Kind.BENT:
                return sheet(whose, yaw_deg, _BEND_DEG)
            case Kind.CUT_OUT:
                return cut_out(whose, self._cast.attacker, Turn(yaw_deg))
            case _:
                return whose.turned(Turn(yaw_deg))


def timeline(sides: tuple[Ask, ...]) -> Iterator[tuple[Ask, float]]:
    """Yield when each prompt of a recording is shown, seconds from its beginning."""
    at = _FIRST_S
    for side in sides:
        yield side, at
        yield Ask.STRAIGHT, at + _EACH_S
        at += _EACH_S + _FIRST_S


def another(sides: tuple[Ask, ...]) -> tuple[Ask, ...]:
    """Return the challenge that begins with the other side."""
    return (Ask.RIGHT if sides[0] is Ask.LEFT else Ask.LEFT, *sides[1:])


def frames(presenter: Presenter, sides: tuple[Ask, ...], fps: int) -> Iterator[tuple[Image, float]]:
    """Yield each frame of a presentation that is asked for these turns, and its time."""
    prompts = list(timeline(sides))
    for number in range(round((prompts[-1][1] + _FIRST_S + 0.4) * fps)):
        at = number / fps
        while prompts and prompts[0][1] <= at:
            presenter.asked(*prompts.pop(0))
        yield presenter.picture(at), at


def record(presenter: Presenter, sides: tuple[Ask, ...], path: Path) -> None:
    """Write a clip of a challenge: motion JPEG in AVI, 10 frames a second.

    Raises:
        OSError: it cannot be written.
    """
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_OPENCV_MJPEG, codec, FPS, (WIDTH, HEIGHT))
    if not writer.isOpened():
        raise OSError(f"clip {str(path)!r} cannot be written; is the folder there and is there room?")
    try:
        for picture, _ in frames(presenter, sides, FPS):
            writer.write(picture)
    finally:
        writer.release()


def make_clips(folder: Path, seeds: int, told: Callable[[str], None]) -> None:
    """Make the synthetic set: clips of every kind, the portrait they are held against, and the list of them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "portrait.jpg").write_bytes(chip_portrait(portrait_of("right")))
    cast = Cast(head_of("right"), head_of("impostor"))
    with (folder / "clips.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(("clip", "portrait", "label", "kind", "asked", "synthetic"))
        for seed in range(seeds):
            sides = SIDES[seed % len(SIDES)]
            for kind in Kind:
                name = f"{kind}-{seed}.avi"
                record(Presenter(kind, cast, seed, another(sides)), sides, folder / name)
                label = "live" if kind is Kind.LIVING else "attack"
                rows.writerow((name, "portrait.jpg", label, kind, " ".join(sides), "yes"))
                told(name)


def _main(
    folder: Annotated[Path, typer.Argument(help="Where the clips go.")],
    seeds: Annotated[int, typer.Option(min=1, max=1000, help="Clips of each kind.")] = 8,
) -> None:
    """Make the synthetic clips that `kiosk evaluate --challenge` reads."""
    make_clips(folder, seeds, typer.echo)


if __name__ == "__main__":
    typer.run(_main)

"""What the liveness test does to people and to attacks: over clips of both, each with the challenge that was asked in it.

The list of clips is a CSV file beside them: `clip`, `portrait` (file names), `label` (live or attack), `kind` (of attack),
`asked` (left and right, with spaces between), `synthetic` (yes or no). Clips of computed heads are said to be synthetic, and no
result here is a certified test of presentation attacks (ISO/IEC 30107-3 asks for more).
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

import cv2
import numpy as np

from kiosk.face import picture
from kiosk.face.gallery import as_on_a_chip
from kiosk.face.given import Image
from kiosk.face.liveness import EVERY_CHECK, Challenge
from kiosk.face.matcher import Matcher
from kiosk.face.rates import rate
from kiosk.face.result import Ask, FaceFault, Glimpse
from kiosk.face.tally import Standard, Tally, concluded
from models.evaluation import Attack, LivenessFigures, Rate
from sync_agent.contract.kinds import Comparison, Condition, LivenessCheck, Outcome

COLUMNS: Final = ("clip", "portrait", "label", "kind", "asked", "synthetic")
_SIDES: Final = {"left": Ask.LEFT, "right": Ask.RIGHT}
_YES: Final = {"yes": True, "no": False}
_LIVE: Final = {"live": True, "attack": False}
_PASSED: Final = frozenset({Outcome.MATCH, Outcome.REVIEW})

Watched = Sequence[tuple[Glimpse, float]]
"""What each frame of a clip gave, and its seconds from the beginning."""


class BadClips(Exception):
    """The clips cannot be evaluated: which, why, and what to do. Code FACE-07."""

    code: ClassVar[str] = "FACE-07"


@dataclass(frozen=True, slots=True)
class Clip:
    """One line of the list."""

    film: Path
    portrait: Path
    is_live: bool
    kind: str
    asked: tuple[Ask, ...]
    is_synthetic: bool


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of one clip.

    Attributes:
        clip: the clip.
        comparison: with every check.
        passed_without: checks without which, one at a time, it passes.
    """

    clip: Clip
    comparison: Comparison
    passed_without: frozenset[LivenessCheck]

    @property
    def is_passed(self) -> bool:
        """Whether face and liveness held."""
        return self.comparison.outcome in _PASSED


@dataclass(frozen=True, slots=True)
class ChallengeResult:
    """The figures.

    Attributes:
        figures: people refused and attacks passed, with intervals of independent trials (Wilson).
        without: for each check that ran, attacks passed when that one is left out.
        causes: how often each outcome and cause was given, for each kind.
        tried: clip by clip.
    """

    figures: LivenessFigures
    without: dict[LivenessCheck, Rate]
    causes: dict[str, dict[str, int]]
    tried: tuple[Tried, ...] = field(repr=False)


def read_clips(path: Path) -> list[Clip]:
    """Read a list of clips.

    Args:
        path: the CSV file; clips and portraits lie beside it.

    Raises:
        BadClips: it cannot be read, names what is not there, or holds both synthetic clips and others.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            if missing := [name for name in COLUMNS if name not in (rows.fieldnames or ())]:
                raise BadClips(f"{str(path)!r} lacks the columns {', '.join(missing)}; it needs {', '.join(COLUMNS)}")
            clips = [_clip(path, number, row) for number, row in enumerate(rows, 2)]
    except (OSError, UnicodeDecodeError, csv.Error) as err:
        raise BadClips(f"the list of clips {str(path)!r} cannot be read: {err}") from err
    if not any(clip.is_live for clip in clips) or all(clip.is_live for clip in clips):
        raise BadClips(f"{str(path)!r} needs clips of living people and of attacks")
    if len({clip.is_synthetic for clip in clips}) > 1:
        raise BadClips(f"{str(path)!r} mixes synthetic clips with others; their figures mean different things: give two lists")
    return clips


def evaluate_challenge(matcher: Matcher, standard: Standard, turn_s: float, clips: Iterable[Clip]) -> ChallengeResult:
    """Put every clip to the test, as a kiosk would, and each attack again without one check after the other.

    Args:
        matcher: of the pack and calibration.
        standard: what is in force for the kind of portrait.
        turn_s: from a prompt to its turn.
        clips: what to try.

    Raises:
        BadClips: a film or portrait cannot be used.
    """
    tried = tuple(_tried(matcher, standard, turn_s, clip) for clip in clips)
    live = [each for each in tried if each.clip.is_live]
    attacks = [each for each in tried if not each.clip.is_live]
    kinds = sorted({each.clip.kind for each in attacks})
    figures = LivenessFigures(
        synthetic=all(each.clip.is_synthetic for each in tried),
        people_refused=_rate(not each.is_passed for each in live),
        attacks=tuple(
            Attack(kind=kind, passed=_rate(each.is_passed for each in attacks if each.clip.kind == kind)) for kind in kinds
        ),
    )
    ran = {check for each in tried for check in each.comparison.checks}
    without = {
        check: _rate(each.is_passed or check in each.passed_without for each in attacks)
        for check in LivenessCheck
        if check in ran
    }
    return ChallengeResult(figures, without, _causes(tried), tried)


def watch(matcher: Matcher, portrait: Image, frames: Iterable[tuple[Image, float]], standard: Standard) -> Watched | None:
    """Return what frames give against a portrait, or None where the portrait has no usable face.

    Args:
        matcher: of the pack.
        portrait: (height, width, 3) uint8, BGR.
        frames: the same, and seconds.
        standard: says what kind of portrait it is.
    """
    if matcher.refer(portrait, standard.condition) is not None:
        return None
    try:
        return [(matcher.look(number, image), at) for number, (image, at) in enumerate(frames, 1)]
    finally:
        matcher.forget()


def put_to_test(
    seen: Watched, sides: tuple[Ask, ...], standard: Standard, turn_s: float, checks: frozenset[LivenessCheck] = EVERY_CHECK
) -> Comparison:
    """Return what a kiosk would say of a clip: straight frames first, then the challenge, each prompt as soon as it is due.

    Args:
        seen: what its frames gave.
        sides: the challenge.
        standard: what it is held against.
        turn_s: from a prompt to its turn.
        checks: those that may fail it.

    Raises:
        FaceFault: nothing is wrong with the frames, but they are too few to decide by.
    """
    tally, frames = Tally(standard), iter(seen)
    found = next((found for glimpse, at in frames if (found := tally.add(glimpse, at))), None)
    if found is None:
        return concluded(tally.at_deadline(turn_s), standard)
    if found.outcome not in _PASSED:
        return concluded(found, standard)
    begins = next(at for glimpse, at in seen if glimpse is found.glimpses[-1])
    challenge = Challenge(sides, standard.pack.spec.liveness, standard.band, turn_s, tally.track, found.glimpses, checks)
    challenge.shown(begins)
    for glimpse, at in frames:
        if challenge.add(glimpse, at):
            challenge.shown(at)
    if not challenge.is_over:
        challenge.tick(math.inf)
    return concluded(found, standard, challenge.verdict())


def _tried(matcher: Matcher, standard: Standard, turn_s: float, clip: Clip) -> Tried:
    try:
        portrait = picture.read(clip.portrait)
    except picture.BadPicture as err:
        raise BadClips(f"the portrait {str(clip.portrait)!r} is no picture to use ({err.fault}); make it again") from None
    if standard.condition is Condition.CHIP:
        portrait = as_on_a_chip(portrait)
    seen = watch(matcher, portrait, _frames(clip.film), standard)
    if seen is None:
        raise BadClips(f"no face is found in the portrait {str(clip.portrait)!r}; take another")
    if not seen:
        raise BadClips(f"the film {str(clip.film)!r} has no pictures that OpenCV plays; make it again")
    try:
        comparison = put_to_test(seen, clip.asked, standard, turn_s)
    except FaceFault:
        raise BadClips(f"the film {str(clip.film)!r} ends before the face is decided on; make it longer") from None
    without = frozenset(
        check
        for check in comparison.checks
        if put_to_test(seen, clip.asked, standard, turn_s, EVERY_CHECK - {check}).outcome in _PASSED
    )
    return Tried(clip, comparison, without)


def _frames(path: Path) -> Iterator[tuple[Image, float]]:
    film = cv2.VideoCapture(str(path))
    try:
        interval_s = 1 / (film.get(cv2.CAP_PROP_FPS) or math.inf)
        number = 0
        while True:
            there, image = film.read()
            if not there:
                return
            yield np.asarray(image, dtype=np.uint8), number * interval_s
            number += 1
    finally:
        film.release()


def _clip(path: Path, number: int, row: dict[str, str]) -> Clip:
    where = f"{str(path)!r}, line {number}"
    try:
        clip = Clip(
            path.parent / row["clip"],
            path.parent / row["portrait"],
            _LIVE[row["label"]],
            row["kind"] or row["label"],
            tuple(_SIDES[side] for side in row["asked"].split()),
            _YES[row["synthetic"]],
        )
    except (KeyError, AttributeError, TypeError) as err:
        raise BadClips(
            f"{where}: label is live or attack, asked is left and right, synthetic is yes or no; no column is empty"
        ) from err
    for file in (clip.film, clip.portrait):
        if not file.is_file():
            raise BadClips(f"{where}: there is no file {str(file)!r}")
    if not clip.asked:
        raise BadClips(f"{where}: no turn was asked for")
    return clip


def _causes(tried: Iterable[Tried]) -> dict[str, dict[str, int]]:
    counted: dict[str, dict[str, int]] = {}
    for each in tried:
        said = each.comparison.quality or str(each.comparison.outcome)
        of_kind = counted.setdefault(each.clip.kind, {})
        of_kind[said] = of_kind.get(said, 0) + 1
    return counted


def _rate(events: Iterable[bool]) -> Rate:
    counted = list(events)
    return rate(sum(counted), len(counted))

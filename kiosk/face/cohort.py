"""Makes a site's calibration of people who consented: scoring and thresholds, judged on people they were not learned from.

The scoring is chosen on halves: a population is learned from one half of the people, the error rates measured on the other, and
the other way round, for several splits. The thresholds are set with nearly everybody: people fall into ten parts, and each pair
of parts is compared under a population of all the others, so that it has about the size of the one that will be in force.
"""

from __future__ import annotations

import csv
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kiosk.face.calibration import LEAST_PEOPLE, BadCalibration, Calibration, CalibrationFault, Summary, Tried
from kiosk.face.embed import Vector
from kiosk.face.gallery import Gallery, Progress, Shot, Side, describe
from kiosk.face.rates import TO_CLAIM, TO_TRUST, Errors, Trials, measurable
from kiosk.face.recogniser import Recogniser
from kiosk.face.scoring import Population, Scale, Vectors
from kiosk.face.tally import Standard
from models.load import Pack
from models.spec import BandSpec
from sync_agent.contract.kinds import Condition, Scoring

CONSENTS: Final = "consent.csv"
PORTRAIT: Final = "portrait"
PICTURES: Final = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".jp2"})

SPLITS: Final = 4
PARTS: Final = 10
_SEED: Final = 38671

Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who consented, and their pictures.

    Attributes:
        name: of the folder.
        portrait: picture of the portrait's side; None where there is none.
        photos: pictures as a camera takes them.
    """

    name: str = field(repr=False)
    portrait: Path | None = field(repr=False)
    photos: tuple[Path, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """Pictures of one person that could not be used, by reason; `left_out` where too few remain."""

    name: str = field(repr=False)
    reasons: Counter[str]
    left_out: bool


@dataclass(frozen=True, slots=True)
class People:
    """Those with a portrait and a photo that can be used.

    Attributes:
        portraits: one vector a person. Personal.
        photos: one or more vectors a person, (count, length) each. Personal.
        failures: whose pictures could not all be used.
        unusable: how many pictures.
    """

    portraits: Vectors = field(repr=False)
    photos: tuple[Vectors, ...] = field(repr=False)
    failures: tuple[Failure, ...]
    unusable: int

    def population(self, who: Index) -> Population:
        """Return the population that some of them are: a photo of each, as one frame is held against it."""
        photos = [self.photos[number] for number in who]
        portraits = self.portraits[who]
        mean = np.stack([each.mean(axis=0) for each in photos]).mean(axis=0)
        return Population(portraits.mean(axis=0), mean, portraits, np.stack([each[0] for each in photos]))


def consenting(folder: Path) -> list[Person]:
    """Return the people in a folder, one folder each with `portrait.*` and photos; all must stand in consent.csv (person, date).

    Raises:
        BadCalibration: a list of consents is missing or not as it should be, or somebody does not stand in it.
    """
    path = folder / CONSENTS
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
        listed = {row["person"]: date.fromisoformat(row["date"] or "") for row in rows}
    except FileNotFoundError:
        text = f"{str(path)!r} is missing. It must name everybody who agreed that their pictures are used: columns person, date"
        raise BadCalibration(CalibrationFault.NO_CONSENT, text) from None
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError) as err:
        text = f"{str(path)!r} is no list of consents ({type(err).__name__}). Its columns are person and date (2026-11-23)"
        raise BadCalibration(CalibrationFault.NO_CONSENT, text) from None
    people = [_person(each) for each in sorted(folder.iterdir()) if each.is_dir()]
    if missing := sum(person.name not in listed for person in people):
        text = (
            f"{missing} of {len(people)} people in {str(folder)!r} do not stand in {CONSENTS}. Have them consent or remove them"
        )
        raise BadCalibration(CalibrationFault.NO_CONSENT, text)
    return people


def build(
    pack: Pack,
    recogniser: Recogniser,
    people: Sequence[Person],
    *,
    condition: Condition,
    fmr: float,
    at: datetime,
    progress: Progress,
) -> tuple[Calibration, People]:
    """Make a calibration.

    Args:
        pack: which.
        recogniser: the same, loaded.
        people: who consented.
        condition: kind of portrait.
        fmr: false-match rate to accept at; to send to a person is the pack's.
        at: now.
        progress: told after each picture.

    Raises:
        BadCalibration: too few people can be used, or too few for this rate.
    """
    known = described(recogniser, people, condition, progress)
    return calibrate(known, pack.sha256, condition, fmr, Standard.of(pack, condition, None).band, at), known


def described(recogniser: Recogniser, people: Sequence[Person], condition: Condition, progress: Progress) -> People:
    """Turn everybody's pictures into vectors; who has no usable portrait or no usable photo is left out."""
    shots = {person.name: _shots(person) for person in people}
    gallery = describe(recogniser, [shot for own in shots.values() for shot in own], condition, progress)
    portraits: list[Vector] = []
    photos: list[Vectors] = []
    failures: list[Failure] = []
    for person in people:
        own = shots[person.name]
        sides = {side: [gallery.vectors[shot] for shot in own if shot.side is side and shot in gallery.vectors] for side in Side}
        is_usable = all(sides.values())
        if is_usable:
            portraits.append(sides[Side.PORTRAIT][0])
            photos.append(np.stack(sides[Side.PROBE]))
        reasons = _reasons(person, own, gallery)
        if reasons:
            failures.append(Failure(person.name, reasons, not is_usable))
    empty = np.empty((0, 0), dtype=np.float32)
    stacked = np.stack(portraits) if portraits else empty
    return People(stacked, tuple(photos), tuple(failures), gallery.failures.total())


def calibrate(
    people: People, pack_sha256: str, condition: Condition, fmr: float, pack_band: BandSpec, at: datetime
) -> Calibration:
    """Choose the scoring and set the thresholds.

    Raises:
        BadCalibration: too few people, or too few for this rate.
    """
    count = len(people.photos)
    needed = max(LEAST_PEOPLE, needed_for(fmr, TO_CLAIM))
    if count < needed:
        text = f"{count} people have usable pictures; for a false-match rate of {fmr:g} {needed} are needed"
        raise BadCalibration(CalibrationFault.TOO_FEW, text)
    half = count // 2
    told = max(fmr, TO_CLAIM / (2 * half * (half - 1)))  # halves have fewer strangers: the strictest rate they can tell
    tried = [_tried(people, scoring, told) for scoring in Scoring]
    chosen = min(tried, key=lambda each: (each.fnmr.value, each.eer)).scoring
    errors = Errors(_of_parts(people, chosen))
    review_fmr = max(fmr, pack_band.review_fmr)
    accept, review = errors.at_fmr(fmr), errors.at_fmr(review_fmr)
    if accept is None or review is None:
        raise AssertionError("people were counted, pairs of them are too few")
    band = BandSpec(
        accept_at=accept.threshold,
        accept_fmr=fmr,
        review_at=review.threshold,
        review_fmr=review_fmr,
        frames=pack_band.frames,
    )
    summary = Summary(
        photos=sum(len(each) for each in people.photos),
        failures=people.unusable,
        tried=tuple(tried),
        fmr=accept.fmr,
        frr=accept.frr,
    )
    population = people.population(np.arange(count))
    return Calibration(at, pack_sha256, condition, chosen, count, population, band, summary)


def needed_for(fmr: float, strangers: int) -> int:
    """Return how many people it takes until a rate stands for so many strangers: n people are n (n - 1) pairs of both sides."""
    return math.ceil((1 + math.sqrt(1 + 4 * strangers / fmr)) / 2)


def is_rough(fmr: float, people: int) -> bool:
    """Tell whether a threshold for this rate may be off by more than about a third (rule of 30)."""
    return people < needed_for(fmr, TO_TRUST)


def halves(count: int) -> Iterator[tuple[Index, Index]]:
    """Yield who a population is learned from and who it is tested on: both halves of every split, never anybody in both."""
    chance = np.random.default_rng(_SEED)
    for _ in range(SPLITS):
        shuffled = chance.permutation(count)
        one, other = shuffled[: count // 2], shuffled[count // 2 :]
        yield one, other
        yield other, one


def parts(count: int) -> Iterator[tuple[Index, Index, Index]]:
    """Yield who a population is learned from, and whose portraits and whose photos are compared under it: none of the former."""
    shuffled = np.random.default_rng(_SEED).permutation(count)
    folds = np.array_split(shuffled, PARTS)
    for left in folds:
        for right in folds:
            yield np.setdiff1d(shuffled, np.concatenate([left, right])), left, right


def _tried(people: People, scoring: Scoring, fmr: float) -> Tried:
    trials = _joined([_trials(people, scoring, learned, tested, tested) for learned, tested in halves(len(people.photos))])
    errors = Errors(trials)
    cost = errors.at_fmr(fmr)
    if cost is None or not measurable(fmr, errors.impostors):
        raise AssertionError("people were counted, pairs of them are too few")
    return Tried(scoring=scoring, fmr=fmr, fnmr=cost.fnmr, eer=errors.eer()[0])


def _of_parts(people: People, scoring: Scoring) -> Trials:
    return _joined([_trials(people, scoring, *three) for three in parts(len(people.photos))])


def _trials(people: People, scoring: Scoring, learned: Index, left: Index, right: Index) -> Trials:
    """Compare portraits of `left` with photos of `right` under a population of `learned`."""
    scale = Scale(scoring, people.population(learned))
    portraits = people.portraits[left]
    photos = np.concatenate([people.photos[number] for number in right])
    of_photo = np.repeat(right, [len(people.photos[number]) for number in right])
    rows, columns = (each.ravel() for each in np.indices((len(left), len(photos))))
    of_portraits, of_probes = scale.of_portraits(portraits), scale.of_probes(photos)
    scores = scale.scores(portraits[rows], of_portraits[rows], photos[columns], of_probes[columns])
    who = np.stack([left[rows], of_photo[columns]], axis=1)
    same = who[:, 0] == who[:, 1]
    return Trials(scores[same], who[same, 0], scores[~same], who[~same])


def _joined(trials: Sequence[Trials]) -> Trials:
    return Trials(
        np.concatenate([each.genuine for each in trials]),
        np.concatenate([each.genuine_of for each in trials]),
        np.concatenate([each.impostor for each in trials]),
        np.concatenate([each.impostor_of for each in trials]),
    )


def _person(folder: Path) -> Person:
    pictures = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in PICTURES]
    portraits = [path for path in pictures if path.stem.lower() == PORTRAIT]
    return Person(folder.name, portraits[0] if portraits else None, tuple(path for path in pictures if path not in portraits))


def _shots(person: Person) -> list[Shot]:
    portrait = [] if person.portrait is None else [Shot(person.portrait, Side.PORTRAIT)]
    return [*portrait, *(Shot(path, Side.PROBE) for path in person.photos)]


def _reasons(person: Person, shots: Sequence[Shot], gallery: Gallery) -> Counter[str]:
    reasons = Counter(reason for shot in shots if (reason := gallery.lost.get(shot)))
    if person.portrait is None:
        reasons["no-portrait"] += 1
    if not person.photos:
        reasons["no-photo"] += 1
    return reasons

"""What a pack is worth on a list of pairs: error rates at stated false-match rates, failures, groups, thresholds to propose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kiosk.face.calibration import Calibration
from kiosk.face.embed import Vector
from kiosk.face.gallery import Gallery, Progress, Shot, Side, describe
from kiosk.face.pairs import Pair, people_in, sha256_of
from kiosk.face.rates import INTERVALS, Cost, Errors, Trials, rate
from kiosk.face.recogniser import Recogniser
from kiosk.face.scoring import Scale, Scores
from kiosk.face.tally import Standard
from models.evaluation import Band, Evaluation, Group, Point
from models.load import Pack
from models.spec import BandSpec
from sync_agent.contract.kinds import Condition

FMRS: Final = (1e-2, 1e-3, 1e-4)
"""False-match rates that every evaluation tells, where its pairs are enough."""

_SAME_PICTURE: Final = 1e-3
"""Vectors nearer than this are of one picture."""


class NotEnough(Exception):
    """The pairs cannot tell anything: none of one person, or none of strangers, has faces in both pictures."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """Thresholds that these pairs suggest.

    Attributes:
        accept_at, review_at: scores; None where the pairs are too few for the rate.
        accept_fmr, review_fmr: false-match rates they stand for.
    """

    accept_at: float | None
    accept_fmr: float
    review_at: float | None
    review_fmr: float


@dataclass(frozen=True, slots=True)
class Measured:
    """An evaluation and what only people look at.

    Attributes:
        evaluation: the figures.
        fmr, fnmr: of every threshold, for drawing; both from 0 to 1.
        proposal: thresholds.
        failures: pictures that could not be used, by reason.
        known: pictures that the calibration itself was made of: figures with them say nothing.
    """

    evaluation: Evaluation
    fmr: Scores
    fnmr: Scores
    proposal: Proposal
    failures: Counter[str]
    known: int


def evaluate(
    pack: Pack,
    recogniser: Recogniser,
    pairs: Sequence[Pair],
    *,
    condition: Condition,
    at: datetime,
    progress: Progress,
    labels: dict[Path, str] | None = None,
    calibration: Calibration | None = None,
) -> Measured:
    """Measure a pack. Every picture is described once; none that cannot be used ends it.

    Args:
        pack: which.
        recogniser: the same, loaded.
        pairs: the portrait's side is brought to what `condition` says.
        condition: kind of portrait.
        at: now.
        progress: told after each picture.
        labels: groups of pictures.
        calibration: a site's, for this pack and condition.

    Raises:
        BadList: the pairs contradict each other.
        NotEnough: they tell nothing.
    """
    people = people_in(pairs)
    gallery = describe(recogniser, shots_of(pairs), condition, progress)
    standard = Standard.of(pack, condition, calibration)
    scale = Scale(standard.scoring, calibration.population if calibration else None)
    scores = pair_scores(scale, gallery, pairs)
    band = standard.band
    try:
        errors = Errors(trials_of(pairs, scores, people))
    except ValueError as err:
        lost = ", ".join(f"{count} x {reason}" for reason, count in gallery.failures.most_common()) or "none"
        raise NotEnough(f"{err}. Pictures that could not be used: {lost}") from err
    eer, eer_low, eer_high = errors.eer()
    evaluation = Evaluation(
        at=at,
        pack=pack.spec.name,
        pack_sha256=pack.sha256,
        condition=condition,
        scoring=scale.scoring,
        calibration=standard.calibration,
        pairs_sha256=sha256_of(pairs, labels or {}),
        genuine=sum(pair.same for pair in pairs),
        impostor=sum(not pair.same for pair in pairs),
        identities=len(set(people.values())),
        failure_to_acquire=rate(gallery.failures.total(), gallery.shots),
        eer=eer,
        eer_interval=(eer_low, eer_high),
        intervals=INTERVALS,
        points=_points(errors),
        band=_band(errors.at(band.accept_at)),
        groups=_groups(pairs, scores, people, labels or {}, band),
    )
    proposal = Proposal(
        _threshold(errors.at_fmr(band.accept_fmr)), band.accept_fmr, _threshold(errors.at_fmr(band.review_fmr)), band.review_fmr
    )
    known = _known(gallery, calibration)
    return Measured(evaluation, errors.fmr, errors.fnmr, proposal, gallery.failures, known)


def shots_of(pairs: Sequence[Pair]) -> list[Shot]:
    """Return the pictures of pairs, each on its side."""
    return [shot for pair in pairs for shot in (Shot(pair.portrait, Side.PORTRAIT), Shot(pair.probe, Side.PROBE))]


def pair_scores(scale: Scale, gallery: Gallery, pairs: Sequence[Pair]) -> Scores:
    """Return how unlike the pictures of each pair are; infinite where one has no face."""
    scores = np.full(len(pairs), np.inf)
    sides: dict[Side, dict[Shot, int]] = {
        side: {shot: row for row, shot in enumerate(each for each in gallery.vectors if each.side is side)} for side in Side
    }
    both = [
        (number, sides[Side.PORTRAIT][portrait], sides[Side.PROBE][probe])
        for number, pair in enumerate(pairs)
        if (portrait := Shot(pair.portrait, Side.PORTRAIT)) in gallery.vectors
        and (probe := Shot(pair.probe, Side.PROBE)) in gallery.vectors
    ]
    if both:
        numbers, left, right = np.array(both).T
        portraits = np.stack([gallery.vectors[shot] for shot in sides[Side.PORTRAIT]])
        probes = np.stack([gallery.vectors[shot] for shot in sides[Side.PROBE]])
        of_portraits, of_probes = scale.of_portraits(portraits), scale.of_probes(probes)
        scores[numbers] = scale.scores(portraits[left], of_portraits[left], probes[right], of_probes[right])
    return scores


def trials_of(pairs: Sequence[Pair], scores: Scores, people: dict[Path, int]) -> Trials:
    """Return the scores of pairs with whose they are; pairs of strangers without a face in both pictures are left out."""
    same = np.array([pair.same for pair in pairs])
    who = np.array([(people[pair.portrait], people[pair.probe]) for pair in pairs], dtype=np.intp)
    strangers = ~same & np.isfinite(scores)
    return Trials(scores[same], who[same, 0], scores[strangers], who[strangers])


def _points(errors: Errors) -> tuple[Point, ...]:
    costs = [(fmr, errors.at_fmr(fmr)) for fmr in FMRS]
    return tuple(Point(fmr=fmr, threshold=cost.threshold, fnmr=cost.fnmr, frr=cost.frr) for fmr, cost in costs if cost)


def _band(cost: Cost) -> Band:
    return Band(accept_at=cost.threshold, fmr=cost.fmr, frr=cost.frr)


def _threshold(cost: Cost | None) -> float | None:
    return None if cost is None else cost.threshold


def _groups(
    pairs: Sequence[Pair], scores: Scores, people: dict[Path, int], labels: dict[Path, str], band: BandSpec
) -> tuple[Group, ...]:
    """Return the figures of each group, of pairs that lie within it."""
    groups = []
    for name in sorted(set(labels.values())):
        inside: NDArray[np.intp] = np.flatnonzero(
            [labels.get(pair.portrait) == name and labels.get(pair.probe) == name for pair in pairs]
        )
        own = [pairs[number] for number in inside]
        genuine = sum(pair.same for pair in own)
        group = Group(name=name, genuine=genuine, impostor=len(own) - genuine, points=())
        trials = trials_of(own, scores[inside], people) if own else None
        if trials is not None and np.isfinite(trials.genuine).any() and len(trials.impostor):
            errors = Errors(trials)
            group = group.model_copy(update={"points": _points(errors), "band": _band(errors.at(band.accept_at))})
        groups.append(group)
    return tuple(groups)


def _known(gallery: Gallery, calibration: Calibration | None) -> int:
    """Return how many of the pictures are those of the calibration."""
    if calibration is None or calibration.population.portraits is None or calibration.population.probes is None:
        return 0
    cohort = np.concatenate([calibration.population.portraits, calibration.population.probes])

    def is_known(vector: Vector) -> bool:
        return float(np.linalg.norm(cohort - vector, axis=1).min()) < _SAME_PICTURE

    return sum(is_known(vector) for vector in gallery.vectors.values())

"""How good the match is beside the dlib library's, on the same pairs: plain, with a population's mean, with its people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from kiosk.face import picture
from kiosk.face.cohort import halves
from kiosk.face.evaluate import pair_scores, shots_of, trials_of
from kiosk.face.gallery import Gallery, Shot, Side, as_on_a_chip, describe
from kiosk.face.pairs import Pair
from kiosk.face.rates import Errors, Trials, measurable
from kiosk.face.recogniser import Recogniser
from kiosk.face.scoring import NEAREST, Population, Scale, Scores
from sync_agent.contract.kinds import Condition, Scoring
from tests.bench.dlib_peer import Image, Peer, Vector

FMR: Final = 1e-2

Describe = Callable[[Image], Vector]
"""The library's network on a cut-out."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The same pairs as both see them."""

    pairs: list[Pair]
    people: dict[Path, int]
    ours: Gallery
    peer: Gallery


def described(
    recogniser: Recogniser, peer: Peer, vector: Describe, pairs: list[Pair], people: dict[Path, int], condition: Condition
) -> Sides:
    """Turn every picture into both vectors; both are given the same picture, at the size in which we look for faces."""
    ours = describe(recogniser, shots_of(pairs), condition, lambda done, of: None)
    found: dict[Shot, Vector] = {}
    lost: dict[Shot, str] = {}
    for shot in dict.fromkeys(shots_of(pairs)):
        try:
            image = picture.read(shot.path)
        except picture.BadPicture as err:
            lost[shot] = err.fault.value
            continue
        is_chip = shot.side is Side.PORTRAIT and condition is Condition.CHIP
        kind = Condition.CHIP if is_chip else Condition.DOCUMENT
        chip = peer.chip(recogniser.prepared(as_on_a_chip(image) if is_chip else image, kind))
        if chip is None:
            lost[shot] = "no-face"
        else:
            found[shot] = vector(chip)
    return Sides(pairs, people, ours, Gallery(found, lost))


def equal_errors(sides: Sides) -> tuple[float, float]:
    """Return our equal error rate and the library's, over pairs in which both found both faces."""
    pairs = _both_found(sides)
    plain = Scale(Scoring.EUCLIDEAN)
    one, other = (
        Errors(trials_of(pairs, pair_scores(plain, gallery, pairs), sides.people)).eer()[0]
        for gallery in (sides.ours, sides.peer)
    )
    return one, other


def missed(sides: Sides, scoring: Scoring) -> tuple[float, float] | str:
    """Return our rate of right people missed and the library's, both at a false-match rate of 1e-2; or why it cannot be told.

    A population is learned from half of the people and the pairs within the other half are compared, both ways, in several
    splits; the library is given the same pairs, of which those count in which both found both faces.
    """
    found = _both_found(sides)
    who = sorted(set(sides.people.values()))
    least = 2 * NEAREST
    if len(who) < least:
        return f"{len(who)} people are too few; {least} are needed"
    trials: list[tuple[Trials, Trials]] = []
    for learned, tested in halves(len(who)):
        inside = {who[number] for number in tested}
        pairs = [pair for pair in found if {sides.people[pair.portrait], sides.people[pair.probe]} <= inside]
        population = _population(sides, {who[number] for number in learned})
        if population is None:
            return f"fewer than {NEAREST} people of a half have a face on both sides"
        ours = pair_scores(Scale(scoring, population), sides.ours, pairs)
        peers = pair_scores(Scale(Scoring.EUCLIDEAN), sides.peer, pairs)
        trials.append((trials_of(pairs, ours, sides.people), trials_of(pairs, peers, sides.people)))
    fewest = min(
        len(one.impostor) + len(next_one.impostor) for (one, _), (next_one, _) in zip(trials[::2], trials[1::2], strict=True)
    )
    if not measurable(FMR, fewest):
        return f"{fewest} pairs of strangers within halves are too few"
    return _fnmr([one for one, _ in trials]), _fnmr([other for _, other in trials])


def _both_found(sides: Sides) -> list[Pair]:
    lost = sides.ours.lost.keys() | sides.peer.lost.keys()
    return [pair for pair in sides.pairs if not {Shot(pair.portrait, Side.PORTRAIT), Shot(pair.probe, Side.PROBE)} & lost]


def _fnmr(trials: list[Trials]) -> float:
    genuine = np.concatenate([each.genuine for each in trials])
    impostor: Scores = np.sort(np.concatenate([each.impostor for each in trials]))
    allowed = int(np.floor(FMR * len(impostor)))
    return float(np.mean(genuine >= impostor[allowed]))


def _population(sides: Sides, people: set[int]) -> Population | None:
    """Return the population of some people: one portrait and one other picture of each, where there are."""
    chosen: dict[Side, dict[int, Vector]] = {side: {} for side in Side}
    for shot, vector in _in_order(sides.ours):
        if (person := sides.people[shot.path]) in people:
            chosen[shot.side].setdefault(person, vector)
    if min(len(each) for each in chosen.values()) < NEAREST:
        return None
    portraits, probes = (np.stack(list(chosen[side].values())) for side in (Side.PORTRAIT, Side.PROBE))
    return Population.of(portraits, probes)


def _in_order(gallery: Gallery) -> Iterator[tuple[Shot, Vector]]:
    """Yield pictures of the portrait's side from the first, of the camera's from the last: of one person they then differ."""
    every = list(gallery.vectors.items())
    yield from (each for each in every if each[0].side is Side.PORTRAIT)
    yield from (each for each in reversed(every) if each[0].side is Side.PROBE)

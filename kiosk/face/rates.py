"""Error rates of a comparison, from the scores of pairs: what each threshold costs, and how sure that is.

Terms of ISO/IEC 19795-1: false-match rate (FMR) over pairs of strangers, false-non-match rate (FNMR) over pairs of one person
with a face found in both pictures, false-rejection rate (FRR) over all of those, a picture without a face counting as refused.
A pair is accepted when its score is not above the threshold.

Pairs of one person hang together, so the intervals draw people, not pairs; a pair of strangers counts as often as both were drawn
(R. M. Bolle, N. K. Ratha, S. Pankanti, "Error analysis of pattern recognition systems", CVIU 93, 2004).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kiosk.face.scoring import Scores
from models.evaluation import Rate

People = NDArray[np.intp]
"""Numbers of people, 0 and up."""

RESAMPLES: Final = 1000
CONFIDENCE: Final = 0.95
TO_DRAW: Final = 20
"""With fewer people, drawing from them says too little."""

INTERVALS: Final = (
    f"{CONFIDENCE:.0%}, bootstrap over people ({RESAMPLES} draws, the threshold set anew in each); of fewer than {TO_DRAW} "
    "people Wilson's, and where nothing or everything went wrong the exact binomial bound, with one trial a person, or a pair of "
    "people among strangers"
)

TO_CLAIM: Final = 3
"""Strangers a false-match rate must stand for before it can be told: without an error in 3/r trials, it is below r (95 %)."""

TO_TRUST: Final = 30
"""Strangers from which it lies within about 30 % of the truth (95 %; G. Doddington et al., Speech Communication 31, 2000)."""

_DECIMALS: Final = 1e4
_SEED: Final = 2004


def measurable(fmr: float, impostors: int) -> bool:
    """Tell whether so many pairs of strangers can tell a false-match rate at all."""
    return impostors * fmr >= TO_CLAIM * (1 - 1e-9)


@dataclass(frozen=True, slots=True)
class Trials:
    """Scores of pairs and whose they are.

    Attributes:
        genuine: scores of pairs of one person, (m,) float64; infinite where a picture had no face.
        genuine_of: the person of each, (m,).
        impostor: scores of pairs of strangers, (n,) float64, finite.
        impostor_of: the two people of each, (n, 2).
    """

    genuine: Scores
    genuine_of: People
    impostor: Scores
    impostor_of: People

    @property
    def people(self) -> int:
        """How many there are."""
        return len(np.unique(np.concatenate([self.genuine_of, self.impostor_of.ravel()])))

    @property
    def pairs_of_people(self) -> int:
        """How many different pairs of strangers there are, whichever of the two came first."""
        return len(np.unique(np.sort(self.impostor_of, axis=1), axis=0))


@dataclass(frozen=True, slots=True)
class Cost:
    """What a threshold gives.

    Attributes:
        threshold: largest score accepted.
        fmr, fnmr, frr: with their intervals.
    """

    threshold: float
    fmr: Rate
    fnmr: Rate
    frr: Rate


class Errors:
    """The error rates of some trials. The same trials always give the same figures, intervals included."""

    def __init__(self, trials: Trials) -> None:
        """Sort the scores.

        Raises:
            ValueError: no pair of one person with both faces found, or none of strangers.
        """
        self._trials = trials
        self._found = np.isfinite(trials.genuine)
        if not self._found.any() or not len(trials.impostor):
            raise ValueError("error rates need pairs of one person and pairs of strangers, with faces found in both pictures")
        genuine = trials.genuine[self._found]
        merged = np.concatenate([genuine, trials.impostor])
        self._order = np.argsort(merged, kind="stable")
        inner = merged[self._order]
        self._last = np.flatnonzero(np.append(inner[1:] != inner[:-1], True))
        self._is_genuine = self._order < len(genuine)
        self.thresholds: Scores = inner[self._last]
        self.fmr, self.fnmr = self._curve(np.ones(len(merged)))
        self._drawn = self._draws()

    @property
    def impostors(self) -> int:
        """How many pairs of strangers there are."""
        return len(self._trials.impostor)

    def eer(self) -> tuple[float, float, float]:
        """Return the equal error rate, on the straight line between the two thresholds next to it, and its interval."""
        value = _crossing(self.fmr, self.fnmr)
        people = self._trials.people
        if people < TO_DRAW:
            low, high = _wilson(value, people)
        else:
            low, high = _percentiles([_crossing(*self._curve(self._weights(drawn))) for drawn in self._drawn])
        return value, min(low, value), max(high, value)

    def at_fmr(self, fmr: float) -> Cost | None:
        """Return what the largest threshold costs that accepts no more strangers; None where they are too few to tell.

        Args:
            fmr: false-match rate, above 0 and below 1.
        """
        if not measurable(fmr, self.impostors):
            return None
        threshold = self._threshold(self.fmr, fmr)
        # Rounded down to what records and settings hold; stays below the stranger that would be one too many.
        threshold = float(np.floor(threshold * _DECIMALS) / _DECIMALS)
        return self._cost(threshold, [self._threshold(self._curve(self._weights(drawn))[0], fmr) for drawn in self._drawn])

    def at(self, threshold: float) -> Cost:
        """Return what a given threshold costs."""
        return self._cost(threshold, [threshold] * len(self._drawn))

    def _cost(self, threshold: float, drawn_thresholds: list[float]) -> Cost:
        trials = self._trials
        found, people = self._found, len(np.unique(trials.genuine_of))
        missed, accepted = [], []
        refused = []
        for drawn, at in zip(self._drawn, drawn_thresholds, strict=True):
            of_genuine = drawn[trials.genuine_of]
            of_impostor = drawn[trials.impostor_of[:, 0]] * drawn[trials.impostor_of[:, 1]]
            missed.append(_share(trials.genuine[found] > at, of_genuine[found]))
            refused.append(_share(trials.genuine > at, of_genuine))
            accepted.append(_share(trials.impostor <= at, of_impostor))
        return Cost(
            threshold,
            fmr=_rate(trials.impostor <= threshold, accepted, trials.pairs_of_people),
            fnmr=_rate(trials.genuine[found] > threshold, missed, len(np.unique(trials.genuine_of[found]))),
            frr=_rate(trials.genuine > threshold, refused, people),
        )

    def _threshold(self, curve: Scores, fmr: float) -> float:
        """Return the largest score that keeps a false-match rate: just below the first that does not."""
        beyond = int(np.searchsorted(curve, fmr * (1 + 1e-12), side="right"))
        last = self.thresholds[-1]
        return float(np.nextafter(self.thresholds[beyond], -np.inf)) if beyond < len(self.thresholds) else float(last)

    def _curve(self, weights: Scores) -> tuple[Scores, Scores]:
        """Return FMR and FNMR at every threshold; the pairs weigh as given, genuine ones first."""
        sorted_weights = weights[self._order]
        genuine = np.cumsum(sorted_weights * self._is_genuine)[self._last]
        impostor = np.cumsum(sorted_weights * ~self._is_genuine)[self._last]
        return impostor / impostor[-1], 1 - genuine / genuine[-1]

    def _draws(self) -> list[People]:
        """Return how often each person was drawn, for each draw that holds pairs of both kinds."""
        trials = self._trials
        who = np.unique(np.concatenate([trials.genuine_of, trials.impostor_of.ravel()]))
        chance = np.random.default_rng(_SEED)
        draws = []
        for _ in range(RESAMPLES):
            drawn = np.zeros(int(who[-1]) + 1, dtype=np.intp)
            drawn[who] = chance.multinomial(len(who), np.full(len(who), 1 / len(who)))
            weights = self._weights(drawn)
            genuine = int(self._found.sum())
            if weights[:genuine].any() and weights[genuine:].any():
                draws.append(drawn)
        return draws

    def _weights(self, drawn: People) -> Scores:
        pairs = self._trials.impostor_of
        genuine = drawn[self._trials.genuine_of[self._found]]
        return np.concatenate([genuine, drawn[pairs[:, 0]] * drawn[pairs[:, 1]]]).astype(np.float64)


def exact_bound(independent: int) -> float:
    """Return how large a rate can be of which so many independent trials showed no event (Clopper-Pearson, two-sided)."""
    return float(1 - ((1 - CONFIDENCE) / 2) ** (1 / independent))


def rate(events: int, trials: int) -> Rate:
    """Return a rate of independent trials with Wilson's interval."""
    low, high = _wilson(events / trials, trials)
    return Rate(events=events, trials=trials, low=min(low, events / trials), high=max(high, events / trials))


def _wilson(share: float, trials: int) -> tuple[float, float]:
    """Return the score interval of a share (E. B. Wilson, JASA 22, 1927)."""
    z = 1.959963984540054
    squared = z * z
    middle = (share + squared / (2 * trials)) / (1 + squared / trials)
    reach = z / (1 + squared / trials) * float(np.sqrt(share * (1 - share) / trials + squared / (4 * trials**2)))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _rate(events: NDArray[np.bool_], drawn: list[float], independent: int) -> Rate:
    count, trials = int(events.sum()), len(events)
    value = count / trials
    low, high = _percentiles(drawn) if independent >= TO_DRAW else _wilson(value, independent)
    if count == 0:
        high = exact_bound(independent)
    if count == trials:
        low = 1 - exact_bound(independent)
    return Rate(events=count, trials=trials, low=min(low, value), high=max(high, value))


def _percentiles(drawn: list[float]) -> tuple[float, float]:
    if not drawn:
        return 0.0, 1.0
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(drawn, [tail, 100 - tail])
    return float(low), float(high)


def _share(events: NDArray[np.bool_], weights: People) -> float:
    return float((events * weights).sum() / weights.sum())


def _crossing(fmr: Scores, fnmr: Scores) -> float:
    """Return where the falling FNMR meets the rising FMR."""
    rising, falling = np.append(0.0, fmr), np.append(1.0, fnmr)
    gap = rising - falling
    after = int(np.argmax(gap >= 0))
    before = after - 1
    part = gap[before] / (gap[before] - gap[after])
    return float(rising[before] + part * (rising[after] - rising[before]))

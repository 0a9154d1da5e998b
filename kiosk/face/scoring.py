"""From two vectors to one number that says how unlike they are: plain, or measured against a population that consented.

Four ways, of which an evaluation chooses one for each site (`kiosk cohort build`); smaller is always more alike.
With p the portrait's vector, q the frame's, and a population with means mp, mq and people's vectors P, Q of both sides:

- ``euclidean``: |p - q|.
- ``centred-cosine``: 1 - cosine of p - mp and q - mq.
- ``cohort``: |p - q| less the mean distance to the 20 nearest of the population, p to Q and q to P, averaged over both sides.
- ``centred-cohort``: the centred cosine as multiples of the spread away from the mean of the 20 nearest, averaged likewise.

Each side is held against the other side's people, for that is what a comparison of strangers is.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Final

import numpy as np
from numpy.typing import NDArray

from kiosk.face.embed import Vector
from sync_agent.contract.kinds import Scoring

Vectors = NDArray[np.float32]
"""(count, length) float32, one face a row. Personal."""

Scores = NDArray[np.float64]

_NONE: Final[Scores] = np.empty((0, 0))

NEAREST: Final = 20
"""How many of a population a face is held against (measured on LFW with 94 to 96 people)."""

LIMIT: Final = 16.0
"""Scores end here on both sides, as records hold them; no threshold lies near it."""

_LEAST_SPREAD: Final = 0.005
"""A smaller spread of the nearest is no measure: cosines of 20 strangers spread by some hundredths."""

OF_MEANS: Final = frozenset({Scoring.CENTRED, Scoring.CENTRED_COHORT})
OF_COHORT: Final = frozenset({Scoring.COHORT, Scoring.CENTRED_COHORT})
"""Scorings that need a population's means, and those that need its people."""


@dataclass(frozen=True, slots=True)
class Population:
    """What is known of people like those who come.

    Attributes:
        portrait_mean: mean vector of portraits, (length,) float32.
        probe_mean: mean vector of photos as a camera takes them, (length,) float32.
        portraits: vectors of people's portraits; None where only the means are kept. Biometric data of consenting people.
        probes: one vector of each person's photos, or their mean; None where only the means are kept.
    """

    portrait_mean: Vector
    probe_mean: Vector
    portraits: Vectors | None = None
    probes: Vectors | None = None

    @classmethod
    def of(cls, portraits: Vectors, probes: Vectors) -> Population:
        """Return the population that these people are.

        Args:
            portraits: one vector a person.
            probes: one vector a person; not necessarily of the same people, nor as many.
        """
        return cls(portraits.mean(axis=0), probes.mean(axis=0), portraits, probes)

    def __repr__(self) -> str:
        return f"Population({', '.join(field.name for field in fields(self) if getattr(self, field.name) is not None)})"


class Scale:
    """A scoring and the population it uses."""

    def __init__(self, scoring: Scoring, population: Population | None = None) -> None:
        """Check that the population has what the scoring needs.

        Raises:
            ValueError: it has not.
        """
        self.scoring = scoring
        self._portrait_mean = self._probe_mean = self._portraits = self._probes = _NONE
        if scoring in OF_MEANS:
            if population is None:
                raise ValueError(f"{scoring} needs the means of a population")
            self._portrait_mean = population.portrait_mean.astype(np.float64)
            self._probe_mean = population.probe_mean.astype(np.float64)
        if scoring in OF_COHORT:
            if population is None or population.portraits is None or population.probes is None:
                raise ValueError(f"{scoring} needs the people of a population")
            if min(len(population.portraits), len(population.probes)) < NEAREST:
                raise ValueError(f"{scoring} needs {NEAREST} people or more")
            self._portraits = self._placed(population.portraits, self._portrait_mean)
            self._probes = self._placed(population.probes, self._probe_mean)

    def of_portraits(self, portraits: Vectors) -> Scores:
        """Return where strangers lie for each portrait: (count, 2), mean and spread; zeros and ones where that is not asked."""
        return self._nearest(portraits, self._portrait_mean, self._probes)

    def of_probes(self, probes: Vectors) -> Scores:
        """Return where strangers lie for each frame's face, likewise."""
        return self._nearest(probes, self._probe_mean, self._portraits)

    def scores(self, portraits: Vectors, of_portraits: Scores, probes: Vectors, of_probes: Scores) -> Scores:
        """Return how unlike each portrait and the face in the same row are, (count,) float64.

        Args:
            portraits: (count, length).
            of_portraits: what `of_portraits` gave for them.
            probes: (count, length).
            of_probes: what `of_probes` gave for them.
        """
        left, right = self._placed(portraits, self._portrait_mean), self._placed(probes, self._probe_mean)
        if self.scoring in OF_MEANS:
            raw = 1 - np.sum(np.multiply(left, right, out=left), axis=1)
        else:
            raw = np.linalg.norm(np.subtract(left, right, out=left), axis=1)
        left.fill(0)  # freed memory is not cleared by itself (P05)
        right.fill(0)
        scaled = sum((raw - side[:, 0]) / side[:, 1] for side in (of_portraits, of_probes)) / 2
        return np.clip(np.asarray(scaled, dtype=np.float64), -LIMIT, LIMIT)

    def _placed(self, vectors: Vectors, mean: Scores) -> Scores:
        """Return a copy of vectors as the scoring takes them: as they are, or from the mean on and of unit length."""
        if self.scoring not in OF_MEANS:
            return vectors.astype(np.float64)
        centred: Scores = vectors - mean
        centred /= np.maximum(np.linalg.norm(centred, axis=1, keepdims=True), 1e-12)
        return centred

    def _nearest(self, seen: Vectors, own_mean: Scores, others: Scores) -> Scores:
        """Return mean and spread of each vector's distances to its nearest, (count, 2)."""
        if self.scoring not in OF_COHORT:
            return np.tile([0.0, 1.0], (len(seen), 1))
        vectors = self._placed(seen, own_mean)
        inner = vectors @ others.T
        if self.scoring is Scoring.CENTRED_COHORT:
            apart = 1 - inner
        else:
            squares = np.einsum("ij,ij->i", vectors, vectors)[:, None] + np.sum(others**2, axis=1) - 2 * inner
            apart = np.sqrt(np.maximum(squares, 0))
        vectors.fill(0)
        near = np.partition(apart, NEAREST - 1, axis=1)[:, :NEAREST]
        mean = near.mean(axis=1)
        spread = np.maximum(near.std(axis=1), _LEAST_SPREAD) if self.scoring is Scoring.CENTRED_COHORT else np.ones_like(mean)
        return np.stack([mean, spread], axis=1)


EUCLIDEAN: Final = Scale(Scoring.EUCLIDEAN)
"""Without a calibration."""


class Scorer:
    """The reference of one visit, and how frames are held against it. For one thread."""

    def __init__(self, reference: Vector, scale: Scale) -> None:
        """Take a copy of the reference.

        Args:
            reference: vector of the portrait, (length,) float32.
            scale: by which it is scored; shared by all visits, for a population is large.

        Raises:
            ValueError: the population's vectors have another length.
        """
        self._reference: Vectors = np.array(reference, dtype=np.float32)[None]
        self._scale = scale
        self._against = self._scale.of_portraits(self._reference)

    def __call__(self, vector: Vector) -> float:
        """Return how unlike a frame's face is, by the scoring in force.

        Args:
            vector: (length,) float32.
        """
        probe = vector[None]
        return float(self._scale.scores(self._reference, self._against, probe, self._scale.of_probes(probe))[0])

    def plain(self, vector: Vector) -> float:
        """Return the Euclidean distance, whatever the scoring in force."""
        apart = self._reference[0] - vector
        distance = float(np.linalg.norm(apart))
        apart.fill(0)  # freed memory is not cleared by itself (P05)
        return distance

    def forget(self) -> None:
        """Overwrite what is known of the visitor with zeros (P05)."""
        self._reference.fill(0)
        self._against.fill(0)

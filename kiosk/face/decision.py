"""What straight frames come to, those that decide and those of a challenge: match, review, no match, or the wrong person."""

from __future__ import annotations

from collections.abc import Sequence

from kiosk.face.result import Glimpse
from models.spec import BandSpec
from sync_agent.contract.kinds import Outcome


def decided(glimpses: Sequence[Glimpse], band: BandSpec) -> tuple[Outcome, float | None]:
    """Return what frames of one face come to, and their mean distance; None where one of them has none.

    The distances are averaged, not the vectors: the thresholds were set for single frames, and the mean of several
    vectors lies nearer to everybody's.

    Args:
        glimpses: frames in which the face looks straight ahead.
        band: they are held against.
    """
    distance = _mean([glimpse.distance for glimpse in glimpses])
    other = _mean([glimpse.other for glimpse in glimpses])
    if other is not None and other <= band.accept_at and (distance is None or other < distance):
        return Outcome.WRONG_PERSON, distance
    if distance is None or distance > band.review_at:
        return Outcome.NO_MATCH, distance
    return (Outcome.MATCH if distance <= band.accept_at else Outcome.REVIEW), distance


def _mean(distances: list[float | None]) -> float | None:
    known = [distance for distance in distances if distance is not None]
    return sum(known) / len(known) if known and len(known) == len(distances) else None

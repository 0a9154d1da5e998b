"""What the straight frames of one try gave so far, and the comparison that is recorded in the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Final, Literal

from kiosk.face.calibration import Calibration
from kiosk.face.continuity import Continuity
from kiosk.face.decision import decided
from kiosk.face.liveness import Verdict
from kiosk.face.result import FaceFault, Glimpse, QualityCause
from models.load import Pack
from models.spec import BandSpec
from sync_agent.contract.kinds import Comparison, Condition, Liveness, Outcome, Scoring

_BREAKS: Final = frozenset({QualityCause.NO_FACE, QualityCause.TWO_FACES})
"""After these somebody else may stand there: what was gathered no longer counts."""

NOT_RUN: Final = Verdict(Liveness.NOT_RUN, ())


@dataclass(frozen=True, slots=True)
class Standard:
    """What a comparison is held against. All of it stands in the record."""

    pack: Pack
    condition: Condition
    band: BandSpec
    scoring: Scoring = Scoring.EUCLIDEAN
    calibration: str = ""

    @classmethod
    def of(cls, pack: Pack, condition: Condition, calibration: Calibration | None) -> Standard:
        """Return what is in force: the calibration where it is of this pack and kind of portrait, else the pack's thresholds."""
        if calibration and (calibration.pack_sha256, calibration.condition) == (pack.sha256, condition):
            return cls(pack, condition, calibration.band, calibration.scoring, calibration.sha256)
        thresholds = pack.spec.thresholds
        return cls(pack, condition, thresholds.chip if condition is Condition.CHIP else thresholds.document)


@dataclass(frozen=True, slots=True)
class Found:
    """What the straight frames came to.

    Attributes:
        outcome: before any test of liveness.
        distance: mean over the frames; None where there was nothing to compare.
        quality: why, where there was not.
        glimpses: the frames it was decided by.
    """

    outcome: Outcome
    distance: float | None
    quality: str = ""
    glimpses: tuple[Glimpse, ...] = ()


class Tally:
    """What the frames of one try gave so far. Times are monotonic seconds of when a frame was taken."""

    def __init__(self, standard: Standard) -> None:
        self._standard = standard
        self._good: list[Glimpse] = []
        self._causes: Counter[QualityCause] = Counter()
        self.track = Continuity()

    @property
    def band(self) -> BandSpec:
        """What the frames are held against."""
        return self._standard.band

    @property
    def progress(self) -> float:
        """How much of the decision is there, 0 to 1."""
        return len(self._good) / self._standard.band.frames

    def add(self, glimpse: Glimpse, at: float) -> Found | None:
        """Count a frame; return the decision once there are enough good ones of one face."""
        if glimpse.cause is not None:
            self._causes[glimpse.cause] += 1
        if self.track.add(glimpse, at) or glimpse.cause in _BREAKS:
            self._good.clear()
            self.track = Continuity()
            self.track.add(glimpse, at)
        if glimpse.cause is None and glimpse.distance is not None:
            self._good.append(glimpse)
        return None if len(self._good) < self._standard.band.frames else self._decided()

    def at_deadline(self, deadline_s: float) -> Found:
        """Return what is to be said when the time is over: the cause that was seen most.

        Raises:
            FaceFault: nothing was wrong with the frames, there were only too few of them.
        """
        if not self._causes:
            wanted = self._standard.band.frames
            detail = f"{len(self._good)} of {wanted} frames were judged in {deadline_s:g} s; the machine is too slow"
            raise FaceFault("FACE-01", detail)
        return Found(Outcome.POOR_QUALITY, None, self._causes.most_common(1)[0][0], tuple(self._good))

    def _decided(self) -> Found:
        outcome, distance = decided(self._good, self._standard.band)
        return Found(outcome, distance, "", tuple(self._good))


def no_reference(cause: QualityCause | None) -> Found:
    """Return that there is nothing to compare with; `cause` says what is wrong with the portrait that there is."""
    return Found(Outcome.NO_REFERENCE, None, cause or "")


def concluded(found: Found, standard: Standard, verdict: Verdict = NOT_RUN, *, is_attended: bool = True) -> Comparison:
    """Return the comparison as it is recorded.

    Where nobody stands by, a match needs a pack that is good enough for that and a liveness test that passed; otherwise a
    person reviews it.

    Args:
        found: by the straight frames.
        standard: what they were held against.
        verdict: of the liveness test; `ATTENDANT` where the person cannot turn and an attendant confirms instead (P15).
        is_attended: whether staff stands by.
    """
    match found.outcome, verdict.liveness:
        case ((Outcome.MATCH | Outcome.REVIEW), Liveness.FAILED):
            found = replace(found, outcome=Outcome.NOT_LIVE, quality=verdict.cause or "")
        case Outcome.MATCH, Liveness.ATTENDANT:
            found = replace(found, outcome=Outcome.TO_CONFIRM)
        case Outcome.MATCH, liveness if not (is_attended or _is_fit(standard.pack.spec.use, liveness)):
            found = replace(found, outcome=Outcome.REVIEW)
        case _:
            pass
    return Comparison(
        outcome=found.outcome,
        distance=None if found.distance is None else round(found.distance, 4),
        accept_at=standard.band.accept_at,
        review_at=standard.band.review_at,
        accept_fmr=standard.band.accept_fmr if standard.band.measured else None,
        condition=standard.condition,
        scoring=standard.scoring,
        calibration=standard.calibration,
        pack=standard.pack.spec.name,
        pack_sha256=standard.pack.sha256,
        liveness=verdict.liveness,
        checks=verdict.checks,
        quality=found.quality,
        frames=len(found.glimpses),
    )


def _is_fit(use: Literal["attended", "unattended"], liveness: Liveness) -> bool:
    return use == "unattended" and liveness is Liveness.PASSED

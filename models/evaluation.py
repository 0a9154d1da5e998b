"""What an evaluation of a pack says, as `kiosk evaluate --out FILE.json` writes it, and when one pack is worse than another."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, model_validator

from models.spec import Fraction, Score, Sha256, Table
from sync_agent.contract.kinds import Condition, Scoring

Count = Annotated[int, Field(ge=0)]


class Incomparable(Exception):
    """Two evaluations cannot be held against each other: what differs, and what to do."""


class Rate(Table):
    """How often something happened, with its 95 % confidence interval.

    How the interval is made is the evaluation's to say (`Evaluation.intervals`); pairs of one person hang together.
    """

    events: Count
    trials: Annotated[int, Field(ge=1)]
    low: Fraction
    high: Fraction

    @property
    def value(self) -> float:
        """The rate itself."""
        return self.events / self.trials

    @model_validator(mode="after")
    def _in_order(self) -> Rate:
        if not self.low <= self.value <= self.high:
            raise ValueError(f"{self.events} of {self.trials} does not lie in its interval {self.low} to {self.high}")
        return self


class Point(Table):
    """What a false-match rate costs. Rates as ISO/IEC 19795-1 names them."""

    fmr: Annotated[float, Field(gt=0, lt=1, description="False-match rate asked for; left out where impostor pairs are too few.")]
    threshold: Annotated[Score, Field(description="Largest score that keeps it.")]
    fnmr: Rate = Field(description="Right people not matched, of genuine pairs with a face found in both pictures.")
    frr: Rate = Field(description="The same with failures to acquire counted as refused, of all genuine pairs.")


class Band(Table):
    """What the pack does at the threshold it comes with (its own or the calibration's), on these pairs."""

    accept_at: Score
    fmr: Rate
    frr: Rate


class Group(Table):
    """The figures of one labelled group: genuine and impostor pairs within it."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    genuine: Count
    impostor: Count
    points: tuple[Point, ...]
    band: Band | None = Field(default=None, description="Absent where the group has no impostor or no genuine pairs.")


class Attack(Table):
    """One way of deceiving the liveness test."""

    kind: Annotated[str, Field(min_length=1, max_length=64)]
    passed: Rate


class LivenessFigures(Table):
    """What the liveness test does to people and to attacks. Synthetic figures are never a PAD certification (ISO 30107-3)."""

    synthetic: bool = Field(description="People and attacks were computed, not filmed.")
    people_refused: Rate
    attacks: tuple[Attack, ...]


class Evaluation(Table):
    """The figures of one pack on one set of pairs."""

    format: Literal[1] = 1
    at: AwareDatetime
    pack: str
    pack_sha256: Sha256 = Field(description="Of pack.toml.")
    condition: Condition
    scoring: Scoring
    calibration: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = Field(default="", description="SHA-256; empty without.")
    pairs_sha256: Sha256 = Field(description="Of the pairs: content of the pictures and labels; not their names or order.")
    genuine: Annotated[int, Field(ge=1)]
    impostor: Annotated[int, Field(ge=1)]
    identities: Count = Field(description="0 where the pairs do not say who is on them.")
    failure_to_acquire: Rate = Field(description="Pictures without a usable face, of all pictures.")
    eer: Fraction
    eer_interval: tuple[Fraction, Fraction] | None = Field(default=None, description="Its confidence interval.")
    intervals: str = Field(
        description="How the confidence intervals were made, for instance 'Wilson' or 'bootstrap over people'."
    )
    points: tuple[Point, ...]
    band: Band
    groups: tuple[Group, ...] = ()
    liveness: LivenessFigures | None = None


def worse(new: Evaluation, old: Evaluation, fmr: float) -> list[str]:
    """Return in what `new` is worse than `old`; empty where in nothing.

    Both were made on the same pairs, so chance works on both alike and neither needs a bound of its own against the other's:
    **a rate of the new one that lies above the upper end of the old one's interval is worse.** Held against each other are

    - right people refused (FRR, failures to acquire included) where both let one in `1 / fmr` strangers pass, or, where the
      pairs are too few for that, at the strictest rate both tell;
    - strangers accepted at the threshold each comes with: a pack is not better for being more lenient;
    - both again in each group that both name;
    - people refused and attacks passed by the liveness test, where the old one has figures for it.

    An interval within which nearly everything lies tells nothing. So of the old one's, the upper end may be 1.5 times the rate
    and 5 % for people refused, and 1.5 times the rate or 3 times `fmr` for strangers accepted; groups, being smaller, are held
    to no such bound.

    Args:
        new: of the pack that is to come into force.
        old: of the pack in force.
        fmr: false-match rate that the pack in force accepts at.

    Raises:
        Incomparable: other pairs, another kind of portrait, scoring or calibration, too few pairs, no false-match rate that both
            tell, or no figures of the new one for the liveness test or an attack that the old one has them for.
    """
    if new.pairs_sha256 != old.pairs_sha256 or new.condition != old.condition:
        raise Incomparable("the two evaluations are of other pairs; run `kiosk evaluate` for both packs on the same ones")
    if (new.scoring, new.calibration) != (old.scoring, old.calibration):
        raise Incomparable(
            "the two evaluations score differently, or under another calibration; a calibration is of one pack: "
            "run `kiosk evaluate` for both packs without"
        )
    _check_certain("right people refused", old.band.frr, 1.5 * old.band.frr.value + 0.05)
    _check_certain("strangers accepted", old.band.fmr, max(1.5 * old.band.fmr.value, 3 * fmr))
    found = _worse_matching("", new.points, old.points, fmr) + _worse_band("", new.band, old.band)
    others = {group.name: group for group in new.groups}
    if missing := [group.name for group in old.groups if group.name not in others]:
        raise Incomparable(
            f"the new evaluation has no figures for the groups {', '.join(missing)}; evaluate it with their labels"
        )
    for group in old.groups:
        one = others[group.name]
        if group.points:
            found += _worse_matching(f"group {group.name}: ", one.points, group.points, fmr)
        if one.band is not None and group.band is not None:
            found += _worse_band(f"group {group.name}: ", one.band, group.band)
    if old.liveness is not None:
        if new.liveness is None:
            raise Incomparable("the new evaluation has no figures for the liveness test; run `kiosk evaluate` with --challenge")
        found += _worse_liveness(new.liveness, old.liveness)
    return found


def _check_certain(what: str, old: Rate, most: float) -> None:
    if old.high > most:
        raise Incomparable(
            f"the pairs are too few to tell: of the pack in force, {what} may be anything up to {old.high:.2%}, "
            f"where {most:.2%} would tell; use more pairs of more people"
        )


def _worse_matching(where: str, new: tuple[Point, ...], old: tuple[Point, ...], fmr: float) -> list[str]:
    mine, theirs = ({point.fmr: point for point in points} for points in (new, old))
    if not (both := mine.keys() & theirs.keys()):
        raise Incomparable(f"{where}there are too few pairs of strangers for any false-match rate that both tell; use more pairs")
    at = fmr if fmr in both else min((rate for rate in both if rate > fmr), default=max(both))
    return _above(f"{where}right people refused at FMR {at:g}", mine[at].frr, theirs[at].frr)


def _worse_band(where: str, new: Band, old: Band) -> list[str]:
    return _above(f"{where}strangers accepted at its own threshold", new.fmr, old.fmr)


def _worse_liveness(new: LivenessFigures, old: LivenessFigures) -> list[str]:
    others = {attack.kind: attack.passed for attack in new.attacks}
    if missing := [attack.kind for attack in old.attacks if attack.kind not in others]:
        raise Incomparable(
            f"the new evaluation has no figures for the attacks {', '.join(missing)}; evaluate it on the same clips"
        )
    found = _above("living people refused", new.people_refused, old.people_refused)
    for attack in old.attacks:
        found += _above(f"attack {attack.kind!r} passed", others[attack.kind], attack.passed)
    return found


def _above(what: str, new: Rate, old: Rate) -> list[str]:
    if new.value <= old.high:
        return []
    return [f"{what}: {new.value:.3%} against {old.value:.3%} (at most {old.high:.3%})"]

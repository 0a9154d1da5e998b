"""One figure of a benchmark, and whether it reaches its goal."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

_REACHED: Final = {">=": operator.ge, "<=": operator.le}


@dataclass(frozen=True, slots=True)
class Result:
    """A figure, measured in the same run as its peer.

    Attributes:
        name: what was measured.
        value: median of the rounds; None where it cannot be had on this machine.
        unit: of `value`; a ratio to the peer has ``x``.
        goal: ``>=3.5`` or ``<=50``, in `unit`; empty where the figure is only shown.
        met: whether `value` reaches `goal`; None without a value or a goal.
        peer: what it is compared with; empty for none.
        rounds: how often it was measured.
        spread: difference between the largest and the smallest round, as a part of the median.
        why: why it cannot be had, where `value` is None.
    """

    name: str
    value: float | None
    unit: str
    goal: str
    met: bool | None
    peer: str
    rounds: int
    spread: float
    why: str = ""

    @classmethod
    def of(cls, name: str, rounds: Sequence[float], unit: str, *, goal: str = "", peer: str = "") -> Self:
        """Return the figure that at least one round gave.

        Raises:
            ValueError: no round, or a goal of another form.
        """
        value = statistics.median(rounds)
        spread = (max(rounds) - min(rounds)) / value if value else 0.0
        met = _reached(value, goal) if goal else None
        return cls(name, value, unit, goal, met, peer, len(rounds), spread)

    @classmethod
    def missing(cls, name: str, unit: str, why: str, *, goal: str = "", peer: str = "") -> Self:
        """Return what stands in place of a figure that this machine cannot give, and why."""
        return cls(name, None, unit, goal, None, peer, 0, 0.0, why)


def _reached(value: float, goal: str) -> bool:
    sign, bound = goal[:2], goal[2:]
    if sign not in _REACHED:
        raise ValueError(f"goal {goal!r} must begin with >= or <=")
    return bool(_REACHED[sign](value, float(bound)))

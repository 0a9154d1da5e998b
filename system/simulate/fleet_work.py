"""What happens at the kiosks of a simulated fleet: invented people who are verified and pass the gate, and when they come."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from typing import Final

from sync_agent.contract import numbers
from sync_agent.contract.kinds import (
    Attendance,
    CardFacts,
    CardHolder,
    CardKind,
    Comparison,
    Consent,
    Direction,
    Liveness,
    Method,
    Outcome,
    PersonReference,
    Provenance,
    Verification,
)
from sync_agent.contract.parts import Facts, Part

_REGION: Final = "540102"
_FIRST_BIRTH: Final = date(1965, 1, 1)
_DAYS: Final = 14_000
_DISTANCES: Final = (0.21, 0.28, 0.33, 0.37, 0.41)


def worker(number: int) -> CardHolder:
    """Return the card of one of a million invented workers; the same number is always the same person."""
    birth = _FIRST_BIRTH + timedelta(days=number % _DAYS)
    body = f"{_REGION}{birth:%Y%m%d}{number // _DAYS + 100:03d}"
    return CardHolder(
        name=f"示例工人{number:06d}",
        number=body + numbers.check_character(body),
        sex="2" if number % 2 else "1",
        ethnic_group="04",
        birth=birth,
        address=f"西藏自治区拉萨市城关区样例路{number}号",
        issuer="拉萨市公安局城关分局",
        valid_from=date(2020, 6, 1),
        valid_until=date(2040, 6, 1),
    )


def visit(site: str, crew: range, count: int, at: datetime) -> tuple[Facts, Part]:
    """Return what a kiosk records as its `count`-th happening: each worker is verified, and then passes the gate.

    Args:
        site: where the kiosk stands.
        crew: numbers of the workers of that site.
        count: counts from 0.
        at: when.
    """
    whole = worker(crew[count // 2 % len(crew)])
    if count % 2:
        return Attendance(site=site, direction=Direction.ENTER, method=Method.FACE), PersonReference(number=whole.number)
    look = Comparison(
        outcome=Outcome.MATCH,
        distance=_DISTANCES[count // 2 % len(_DISTANCES)],
        accept_at=0.5,
        review_at=0.6,
        pack="dlib",
        pack_sha256="ab" * 32,
        liveness=Liveness.PASSED,
        frames=5,
    )
    return Verification(
        site=site,
        card=CardFacts(kind=CardKind.RESIDENT, provenance=Provenance.SAM_VERIFIED, reader_module="SAM-SIMULATED-1"),
        consent=Consent(notice="1", compare=True, keep_photo=False, at=at),
        method=Method.FACE,
        outcome=Outcome.MATCH,
        comparisons=(look,),
    ), whole


def steady(rate: float, seconds: float, chance: random.Random) -> Iterator[float]:
    """Yield the moments of arrivals that know nothing of each other, `rate` a second on average (a Poisson process)."""
    at = chance.expovariate(rate)
    while at < seconds:
        yield at
        at += chance.expovariate(rate)


def shift_start(rate: float, seconds: float, chance: random.Random) -> Iterator[float]:
    """Yield the moments of arrivals around the start of a shift.

    A bell around the middle: top `rate` a second, standard deviation a sixth of `seconds`, floor a tenth of the top.
    """
    middle, wide = seconds / 2, seconds / 6
    for at in steady(rate, seconds, chance):
        if chance.random() < 0.1 + 0.9 * math.exp(-(((at - middle) / wide) ** 2) / 2):
            yield at

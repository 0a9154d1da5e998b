"""What everything that an enterprise asks for has in common: all that is lacking is said at once (S24-S28).

The gate and who signs stand in `firm.py`; here is how several reasons become one answer.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from sync_agent.contract.codes import Code
from sync_agent.registry.rules.decision import Decision, refused

NAME_MAX: Final = 64
"""Characters of a gap in a ruling."""

GAPS_MAX: Final = 40
"""Gaps of a ruling; who lacks more than that learns of the rest after the first forty."""


@dataclass(frozen=True, slots=True)
class Lack:
    """One thing that stands against a request.

    Attributes:
        name: which field, person or document; nothing personal. Empty: the code says it all.
    """

    code: Code
    name: str = ""

    def __str__(self) -> str:
        """Return it as the kiosk reads it, `AGENT_INCOMPLETE:mobile`."""
        return f"{self.code}:{self.name}"[:NAME_MAX] if self.name else str(self.code)


def refusal(lacks: Iterable[Lack]) -> Decision | None:
    """Return the one answer to all that is lacking, None where nothing is. The first reason is its code."""
    found = list(dict.fromkeys(lacks))
    if not found:
        return None
    return refused(found[0].code, *(str(lack) for lack in found[:GAPS_MAX]))


def refuse(code: Code, name: str = "") -> Decision:
    """Return the answer to one thing that makes all others pointless."""
    return refused(code, str(Lack(code, name)))

"""Whether an enterprise is registered in the region or outside of it: this decides which flow it goes through (S17)."""

from __future__ import annotations

from typing import Final

from sync_agent.registry.tables import Region

HOME: Final = "54"
"""Province whose enterprises are those of the region, GB/T 2260."""


def region(division: str, uscc: str) -> Region:
    """S17: from the registered province; while that is unknown, from characters 3 to 8 of the code.

    100000 there means that it is registered nationally: outside, until a registered province is known.

    Args:
        division: where it is registered, GB/T 2260; empty while unknown.
        uscc: unified social credit code, 18 characters.
    """
    return Region.IN if (division or uscc[2:8]).startswith(HOME) else Region.OUT

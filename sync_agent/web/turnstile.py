"""Who knocks how often, and how much at once: limits for each network, so that one of them does not shut the others out."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from ipaddress import IPv6Address, ip_address
from typing import Final

_ADDRESSES: Final = 10_000
"""So many network addresses are remembered; the one that was quiet longest is forgotten first."""


class Turnstile:
    """Lets so many through in a minute, from one network address. A bucket each that fills again steadily."""

    def __init__(self, per_minute: int, monotonic: Callable[[], float]) -> None:
        """Make one.

        Args:
            per_minute: so many at once, and again so many in every minute after.
            monotonic: seconds that only go forward.
        """
        self._per_minute = per_minute
        self._monotonic = monotonic
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def lets_in(self, address: str) -> bool:
        """Count one; say whether it may pass."""
        now, who = self._monotonic(), network(address)
        left, at = self._left.pop(who, (float(self._per_minute), now))
        left = min(self._per_minute, left + (now - at) * self._per_minute / 60)
        self._left[who] = (max(0.0, left - 1), now)
        if len(self._left) > _ADDRESSES:
            self._left.popitem(last=False)
        return left >= 1


class Standing:
    """How many stand in the doorway now, from each network."""

    def __init__(self, most: int) -> None:
        """Make one that has room for `most` of one network at a time."""
        self._most = most
        self._here: Counter[str] = Counter()

    def enter(self, address: str) -> bool:
        """Count one in, where there is room; say whether there was."""
        who = network(address)
        if self._here[who] >= self._most:
            return False
        self._here[who] += 1
        return True

    def leave(self, address: str) -> None:
        """Count one out that was let in."""
        who = network(address)
        self._here[who] -= 1
        if not self._here[who]:
            del self._here[who]


def network(address: str) -> str:
    """Return whom an address counts as: itself, or its /64 network, which one IPv6 customer has for themselves.

    A listener for both kinds sees IPv4 as ``::ffff:192.0.2.1``: that counts as the IPv4 address, or all of IPv4 were one network.
    """
    try:
        known = ip_address(address)
    except ValueError:
        return address
    if not isinstance(known, IPv6Address):
        return address
    return str(known.ipv4_mapped or IPv6Address(int(known) >> 64 << 64))

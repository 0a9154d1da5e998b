"""What the centre holds of a chain: the highest sequence and the gaps below it, for the cumulative receipt."""

from __future__ import annotations

Gap = tuple[int, int]


def with_one_more(upto: int, gaps: list[Gap], seq: int) -> tuple[int, list[Gap]]:
    """Return highest sequence and gaps after `seq` has come too.

    Args:
        upto: highest sequence held; 0 for none.
        gaps: missing ranges below it, both ends included, ascending, not touching.
        seq: the sequence that came; one that is held already changes nothing.
    """
    if seq > upto:
        return seq, gaps if seq == upto + 1 else [*gaps, (upto + 1, seq - 1)]
    after: list[Gap] = []
    for first, last in gaps:
        if first <= seq <= last:
            after += [(a, b) for a, b in ((first, seq - 1), (seq + 1, last)) if a <= b]
        else:
            after.append((first, last))
    return upto, after

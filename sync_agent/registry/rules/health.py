"""The self-test of a device, as the record of it says."""

from __future__ import annotations

from datetime import datetime

from sync_agent.contract.kinds import Health
from sync_agent.registry.rules.decision import Decision, SetParts, accepted
from sync_agent.registry.tables import part_lines


def report(known_at: datetime | None, facts: Health, time: datetime, now: datetime) -> Decision:
    """S06, S13, S64: the newest self-test stands; an older one that arrives late is kept in the ledger only.

    Args:
        known_at: when the self-test that stands was made, by the device's clock.
        facts: the one that came.
        time: when it was made, by the device's clock.
        now: from when it stands.
    """
    if known_at is not None and known_at > time:
        return accepted(now)
    return accepted(now, SetParts(part_lines(facts.parts), facts.version))

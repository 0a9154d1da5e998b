"""Who passes a gate: only somebody who has proven who they are there."""

from __future__ import annotations

from datetime import datetime

from sync_agent.contract.codes import Code
from sync_agent.registry.rules.decision import Decision, KeepAttendance, Member, accepted, refused
from sync_agent.registry.tables import LibraryStatus


def attend(member: Member | None, now: datetime) -> Decision:
    """S48, S49: a passage counts for people in the site's library only.

    Args:
        member: the person's place on the site's roster.
        now: from when it counts.
    """
    if member is None or member.status is not LibraryStatus.IN_LIBRARY:
        return refused(Code.NOT_VERIFIED)
    return accepted(now, KeepAttendance())

"""Bid locks: from when to when somebody belongs to a running bid (S53, S54, domain.md 4.6).

Released once is released for good, so late and repeated events are harmless. When a lock ends stands in it as a day: whoever
asks after that day finds it open no more, whether or not the duty that writes the release has run.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from sync_agent.registry.tables import Release

REASON_MAX: Final = 200
"""Characters of the reason for a release by hand."""


class CannotRelease(Exception):
    """A release by hand that is not possible. Code LCK-01: nothing was changed."""

    code = "LCK-01"


class Happened(StrEnum):
    """What the trading centre reports of a tender."""

    OPENED = "opened"
    FAILED = "failed"
    PUBLICITY_BEGUN = "publicity-begun"
    PUBLICITY_ENDED = "publicity-ended"


@dataclass(frozen=True, slots=True)
class TenderEvent:
    """Something happened to a tender.

    Attributes:
        at: when, by the trading centre.
        last_day: of the award publicity, as announced (begun) or as it was (ended).
    """

    kind: Happened
    at: datetime
    last_day: date | None = None


@dataclass(frozen=True, slots=True)
class Lock:
    """A person in a tender.

    Attributes:
        locked_at: None: something else was reported before its beginning.
        publicity_ends: last day of the award publicity; None while nobody knows.
        released_at: None while nothing released it that was written down; see `is_open`.
    """

    locked_at: datetime | None = None
    publicity_ends: date | None = None
    released_at: datetime | None = None
    release: Release | None = None
    reason: str = ""


def over(last_day: date, zone: ZoneInfo) -> datetime:
    """Return the moment at which a day has ended."""
    return datetime.combine(last_day + timedelta(days=1), time(), zone)


def is_open(lock: Lock, now: datetime, zone: ZoneInfo) -> bool:
    """Say whether a lock holds at a moment."""
    return expire(lock, now, zone).released_at is None


def expire(lock: Lock, now: datetime, zone: ZoneInfo) -> Lock:
    """S54: release it where the last day of the award publicity has ended; as of that end, whenever somebody looks."""
    if lock.released_at is not None or lock.publicity_ends is None or now < over(lock.publicity_ends, zone):
        return lock
    return replace(lock, released_at=over(lock.publicity_ends, zone), release=Release.AWARD)


def follow(lock: Lock | None, event: TenderEvent, now: datetime, zone: ZoneInfo) -> Lock:
    """S53, S54: return what an event makes of the lock of somebody whom the tender names.

    Of several last days the latest counts: publicity may be prolonged, and an announcement may come late. Where it was
    shortened staff releases.

    Args:
        lock: as it is; None: nothing was heard of this person in this tender.
        event: what is reported.
        now: the time.
        zone: whose days count.
    """
    lock = expire(lock or Lock(), now, zone)
    match event.kind:
        case Happened.OPENED:
            return replace(lock, locked_at=event.at if lock.locked_at is None else min(lock.locked_at, event.at))
        case _ if lock.released_at is not None:
            return lock
        case Happened.FAILED:
            return replace(lock, released_at=min(event.at, now), release=Release.FAILED)
        case Happened.PUBLICITY_BEGUN:
            last = event.last_day
        case Happened.PUBLICITY_ENDED:
            last = event.last_day or event.at.astimezone(zone).date()
    if last is not None and (lock.publicity_ends is None or last > lock.publicity_ends):
        lock = replace(lock, publicity_ends=last)
    return expire(lock, now, zone)


def release(lock: Lock, reason: str, now: datetime, zone: ZoneInfo) -> Lock:
    """4.6: release a lock by hand.

    Raises:
        CannotRelease: it is released already, or the reason is lacking or too long.
    """
    lock = expire(lock, now, zone)
    if lock.released_at is not None:
        raise CannotRelease("the lock is released already; look again.")
    if not reason.strip() or len(reason) > REASON_MAX:
        raise CannotRelease(f"a release by hand needs a reason of up to {REASON_MAX} characters.")
    return replace(lock, released_at=now, release=Release.MANUAL, reason=reason.strip())

"""Patience with the database: what it cannot take now is tried again until it can, however long it is away."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Final, TypeVar

import structlog

from sync_agent.ingest.clerk import PASSING
from sync_agent.ingest.leases import LostShard

log = structlog.get_logger(__name__)

AWAY_MAX_S: Final = 10.0
"""Longest wait between two tries, seconds."""

T = TypeVar("T")


def patiently(do: Callable[[], T], stopping: threading.Event) -> T | None:
    """Do something with the database, however often it must be tried; None when it is to stop before it is done.

    Raises:
        LostShard: a shard is not held any more.
    """
    tries, jitter = 0, random.Random()
    while not stopping.is_set():
        try:
            return do()
        except LostShard:
            raise
        except PASSING as err:
            tries += 1
            wait_s = _wait_s(tries, jitter)
            todo = "see that the database runs and has room"
            reason = type(err.orig).__name__
            log.warning("database.away", code="ING-03", tries=tries, wait_s=round(wait_s, 2), reason=reason, todo=todo)
        except Exception:  # the edge of the thread: without it the agent would be deaf and look well
            tries += 1
            wait_s = _wait_s(tries, jitter)
            log.exception("ingest.failed", code="ING-04", tries=tries, todo="report it: a fault of the sync agent")
        stopping.wait(wait_s)
    return None


def _wait_s(tries: int, jitter: random.Random) -> float:
    return jitter.uniform(0, min(AWAY_MAX_S, 0.1 * 2.0 ** min(tries, 10)))

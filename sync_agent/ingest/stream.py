"""The stream: has the clerk hold what was heard, acknowledges and answers it, and wakes the judge.

A batch is what is there: on a quiet system one message, committed at once; while one transaction runs the next batch gathers. A
message is acknowledged only after its transaction is committed.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import Final

import structlog

from sync_agent.ingest.clerk import Clerk
from sync_agent.ingest.court import Court
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.leases import Leases, LostShard
from sync_agent.ingest.patience import patiently
from sync_agent.ingest.postman import Postman
from sync_agent.ingest.sessions import Sessions

log = structlog.get_logger(__name__)

BATCH: Final = 500
"""Most messages in one transaction."""


class Ingest:
    """One stream, in a thread of its own; the judge works beside it in another process."""

    def __init__(self, sessions: Sessions, leases: Leases, clerk: Clerk, court: Court, postman: Postman) -> None:
        self._sessions = sessions
        self._leases = leases
        self._clerk = clerk
        self._court = court
        self._postman = postman
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._take_all, name="taking", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._postman.start()
        self._court.start()
        self._thread.start()
        self._sessions.start()
        self._leases.start()

    def stop(self) -> None:
        """End after the batch in hand and give the shards away. What is not acknowledged stays with the broker."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self._court.stop()
        self._postman.stop()
        self._sessions.stop()
        self._leases.stop()

    def _take_all(self) -> None:
        while not self._stopping.is_set():
            if batch := self._sessions.inbox.gather(BATCH, within_s=0.2):
                self._take(batch)

    def _take(self, batch: list[Letter]) -> None:
        """Have a batch committed, however long the database is away; then acknowledge it and answer."""
        while batch:
            try:
                posts = patiently(partial(self._clerk.take, batch), self._stopping)
            except LostShard as lost:
                self._lost(lost)
                batch = [letter for letter in batch if letter.shard not in lost.shards]
                continue
            if posts is not None:
                self._sessions.acknowledge(batch)
                self._postman.deliver(posts)
                self._court.wake()
            return

    def _lost(self, lost: LostShard) -> None:
        log.warning("ingest.shards-lost", shards=sorted(lost.shards), todo="none: their new holder is given them again")
        self._leases.lost(lost.shards)

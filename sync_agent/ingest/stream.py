"""The stream: has the clerk take what was heard, and only then acknowledges and answers.

A batch is what is there: on a quiet system one message, committed at once; while one transaction runs the next batch gathers.
"""

from __future__ import annotations

import random
import threading
from typing import Final

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from sync_agent.contract.topics import DeviceId, shard
from sync_agent.ingest.clerk import Clerk, Post
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.leases import Leases, LostShard
from sync_agent.ingest.sessions import Sessions

log = structlog.get_logger(__name__)

BATCH: Final = 500
"""Most messages in one transaction."""

AWAY_MAX_S: Final = 10.0
"""Longest wait between two tries while the database is away, seconds."""


class Ingest:
    """One stream, in a thread of its own."""

    def __init__(self, sessions: Sessions, leases: Leases, clerk: Clerk) -> None:
        self._sessions = sessions
        self._leases = leases
        self._clerk = clerk
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._jitter = random.Random()

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._sessions.start()
        self._leases.start()

    def stop(self) -> None:
        """End after the batch in hand and give the shards away. What is not acknowledged stays with the broker."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self._sessions.stop()
        self._leases.stop()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if batch := self._sessions.inbox.gather(BATCH, within_s=0.2):
                self._take(batch)

    def _take(self, batch: list[Letter]) -> None:
        """Have a batch committed, however long the database is away; then acknowledge it and answer."""
        tries = 0
        while batch and not self._stopping.is_set():
            try:
                posts = self._clerk.take(batch)
            except LostShard as lost:
                log.warning("ingest.shards-lost", shards=sorted(lost.shards), todo="none: their new holder is given them again")
                self._leases.lost(lost.shards)
                batch = [letter for letter in batch if letter.shard not in lost.shards]
            except (OperationalError, InterfaceError) as err:
                tries += 1
                wait_s = self._jitter.uniform(0, min(AWAY_MAX_S, 0.1 * 2.0**tries))
                log.warning("database.away", tries=tries, wait_s=round(wait_s, 2), reason=type(err.orig).__name__)
                self._stopping.wait(wait_s)
            else:
                self._sessions.acknowledge(batch)
                self._say(posts)
                return

    def _say(self, posts: list[Post]) -> None:
        for post in posts:
            self._sessions.say(post.topic, post.payload, shard(DeviceId(post.topic.split("/")[4])))

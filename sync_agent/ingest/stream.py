"""The stream: has the clerk hold what was heard, acknowledges and answers it, and has the judge work through what is held.

A batch is what is there: on a quiet system one message, committed at once; while one transaction runs the next batch gathers. A
message is acknowledged only after its transaction is committed.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import structlog

from sync_agent.ingest.clerk import PASSING, Clerk
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.judge import Judge
from sync_agent.ingest.leases import Leases, LostShard
from sync_agent.ingest.postman import Postman
from sync_agent.ingest.sessions import Sessions

log = structlog.get_logger(__name__)

BATCH: Final = 500
"""Most messages in one transaction."""

LOOK_S: Final = 1.0
"""How often the judge looks without being woken: for what waits behind a gap or was left by another agent, seconds."""

AWAY_MAX_S: Final = 10.0
"""Longest wait between two tries while the database is away, seconds."""

T = TypeVar("T")


class Ingest:
    """One stream, in two threads of its own: one takes, one judges."""

    def __init__(self, sessions: Sessions, leases: Leases, clerk: Clerk, judge: Judge, postman: Postman) -> None:
        self._sessions = sessions
        self._leases = leases
        self._clerk = clerk
        self._judge = judge
        self._postman = postman
        self._stopping = threading.Event()
        self._is_held = threading.Event()
        self._threads = [
            threading.Thread(target=self._take_all, name="taking", daemon=True),
            threading.Thread(target=self._judge_all, name="judging", daemon=True),
        ]
        self._jitter = random.Random()

    def start(self) -> None:
        """Begin."""
        self._postman.start()
        for thread in self._threads:
            thread.start()
        self._sessions.start()
        self._leases.start()

    def stop(self) -> None:
        """End after the batch in hand and give the shards away. What is not acknowledged stays with the broker."""
        self._stopping.set()
        self._is_held.set()
        for thread in self._threads:
            thread.join(timeout=10)
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
                posts = self._patiently(partial(self._clerk.take, batch))
            except LostShard as lost:
                self._lost(lost)
                batch = [letter for letter in batch if letter.shard not in lost.shards]
                continue
            if posts is not None:
                self._sessions.acknowledge(batch)
                self._postman.deliver(posts)
                self._is_held.set()
            return

    def _judge_all(self) -> None:
        while not self._stopping.is_set():
            self._is_held.wait(LOOK_S)
            self._is_held.clear()
            try:
                while posts := self._patiently(self._judge.work):
                    self._postman.deliver(posts)
            except LostShard as lost:
                self._lost(lost)

    def _lost(self, lost: LostShard) -> None:
        log.warning("ingest.shards-lost", shards=sorted(lost.shards), todo="none: their new holder is given them again")
        self._leases.lost(lost.shards)

    def _patiently(self, do: Callable[[], T]) -> T | None:
        """Do something with the database, however often it must be tried; None when the stream ends before it is done.

        Raises:
            LostShard: a shard is not held any more.
        """
        tries = 0
        while not self._stopping.is_set():
            try:
                return do()
            except LostShard:
                raise
            except PASSING as err:
                tries += 1
                wait_s = self._wait_s(tries)
                todo = "see that the database runs and has room"
                reason = type(err.orig).__name__
                log.warning("database.away", code="ING-03", tries=tries, wait_s=round(wait_s, 2), reason=reason, todo=todo)
            except Exception:  # the edge of the thread: without it the agent would be deaf and look well
                tries += 1
                wait_s = self._wait_s(tries)
                log.exception("ingest.failed", code="ING-04", tries=tries, todo="report it: a fault of the sync agent")
            self._stopping.wait(wait_s)
        return None

    def _wait_s(self, tries: int) -> float:
        return self._jitter.uniform(0, min(AWAY_MAX_S, 0.1 * 2.0 ** min(tries, 10)))

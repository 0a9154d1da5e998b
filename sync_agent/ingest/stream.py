"""The stream: has the clerk hold what was heard, acknowledges and answers it, and wakes the judge.

A batch is what is there: on a quiet system one message, committed at once. While one batch is written the next one is checked,
which touches no table, and another gathers; they are written in the order in which they came. A message is acknowledged only
after its transaction is committed.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import structlog

from sync_agent.ingest.clerk import Checked, Clerk
from sync_agent.ingest.court import Court
from sync_agent.ingest.inbox import Letter
from sync_agent.ingest.leases import Leases, LostShard
from sync_agent.ingest.patience import patiently
from sync_agent.ingest.postman import Postman
from sync_agent.ingest.sessions import Sessions

log = structlog.get_logger(__name__)

BATCH: Final = 1000
"""Most messages in one transaction."""

LOOK_S: Final = 0.2
"""How often a thread that has nothing to do, or nobody to hand it to, looks whether it is to end, seconds."""


class Ingest:
    """One stream, in two threads of its own: one checks, one writes. The judge works beside them in another process."""

    def __init__(self, sessions: Sessions, leases: Leases, clerk: Clerk, court: Court, postman: Postman) -> None:
        self._sessions = sessions
        self._leases = leases
        self._clerk = clerk
        self._court = court
        self._postman = postman
        self._stopping = threading.Event()
        self._checked: queue.Queue[tuple[Sequence[Letter], Sequence[Checked]]] = queue.Queue(maxsize=1)
        self._threads = [
            threading.Thread(target=self._check_all, name="checking", daemon=True),
            threading.Thread(target=self._hold_all, name="holding", daemon=True),
        ]

    def start(self) -> None:
        """Begin."""
        self._postman.start()
        self._court.start()
        for thread in self._threads:
            thread.start()
        self._sessions.start()
        self._leases.start()

    def stop(self) -> None:
        """End after the batch in hand and give the shards away. What is not acknowledged stays with the broker."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=10)
        self._court.stop()
        self._postman.stop()
        self._sessions.stop()
        self._leases.stop()

    def _check_all(self) -> None:
        while not self._stopping.is_set():
            batch = self._sessions.inbox.gather(BATCH, LOOK_S)
            checked = patiently(partial(self._clerk.check, batch), self._stopping) if batch else None
            if checked is not None:
                self._hand_over(batch, checked)

    def _hand_over(self, batch: Sequence[Letter], checked: Sequence[Checked]) -> None:
        while not self._stopping.is_set():
            with suppress(queue.Full):
                self._checked.put((batch, checked), timeout=LOOK_S)
                return

    def _hold_all(self) -> None:
        while not self._stopping.is_set():
            with suppress(queue.Empty):
                self._hold(*self._checked.get(timeout=LOOK_S))

    def _hold(self, batch: Sequence[Letter], checked: Sequence[Checked]) -> None:
        """Have a batch committed, however long the database is away; then acknowledge it and answer."""
        while batch:
            try:
                posts = patiently(partial(self._clerk.hold, checked), self._stopping)
            except LostShard as lost:
                self._lost(lost)
                batch = [letter for letter in batch if letter.shard not in lost.shards]
                checked = [one for one in checked if one.letter.shard not in lost.shards]
                continue
            if posts is not None:
                self._sessions.acknowledge(batch)
                self._postman.deliver(posts)
                self._court.wake()
            return

    def _lost(self, lost: LostShard) -> None:
        log.warning("ingest.shards-lost", shards=sorted(lost.shards), todo="none: their new holder is given them again")
        self._leases.lost(lost.shards)

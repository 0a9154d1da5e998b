"""The stream: gathers messages into batches, has the clerk take them, and only then acknowledges and answers."""

from __future__ import annotations

import queue
import random
import threading
import time
from typing import Final

import structlog
from sqlalchemy.exc import InterfaceError, OperationalError

from sync_agent.ingest.clerk import Clerk
from sync_agent.ingest.receiver import Letter, Receiver

log = structlog.get_logger(__name__)

BATCH: Final = 500
"""Most messages in one transaction; below the broker's window, or the stream would wait for itself."""

BATCH_S: Final = 0.05
"""How long a batch waits for more, seconds."""

AWAY_MAX_S: Final = 10.0
"""Longest wait between two tries while the database is away, seconds."""


class Ingest:
    """One stream, in a thread of its own."""

    def __init__(self, receiver: Receiver, clerk: Clerk) -> None:
        self._receiver = receiver
        self._clerk = clerk
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._jitter = random.Random()

    def start(self) -> None:
        """Begin."""
        self._thread.start()
        self._receiver.start()

    def stop(self) -> None:
        """End after the batch in hand. What is not acknowledged stays with the broker."""
        self._stopping.set()
        self._thread.join(timeout=10)
        self._receiver.stop()

    def _run(self) -> None:
        while not self._stopping.is_set():
            if batch := self._gather():
                self._take(batch)

    def _gather(self) -> list[Letter]:
        """Return the next messages, at most a batch of them; nothing after a while without any."""
        try:
            batch = [self._receiver.inbox.get(timeout=0.2)]
        except queue.Empty:
            return []
        until = time.monotonic() + BATCH_S
        while len(batch) < BATCH and (left := until - time.monotonic()) > 0:
            try:
                batch.append(self._receiver.inbox.get(timeout=left))
            except queue.Empty:
                break
        return batch

    def _take(self, batch: list[Letter]) -> None:
        """Have a batch committed, however long the database is away; then acknowledge it and answer."""
        tries = 0
        while not self._stopping.is_set():
            try:
                posts = self._clerk.take(batch)
            except (OperationalError, InterfaceError) as err:
                tries += 1
                wait_s = self._jitter.uniform(0, min(AWAY_MAX_S, 0.1 * 2.0**tries))
                log.warning("database.away", tries=tries, wait_s=round(wait_s, 2), reason=type(err.orig).__name__)
                self._stopping.wait(wait_s)
                continue
            for letter in batch:
                self._receiver.acknowledge(letter)
            for post in posts:
                self._receiver.say(post.topic, post.payload)
            return

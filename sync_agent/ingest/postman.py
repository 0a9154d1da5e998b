"""The postman: says receipts, to each device the first few at once and the next ones gathered.

Receipts are cumulative, so what comes in quick succession is said in one: a kiosk that drains its backlog is not flooded, and the
centre signs once for many. An answer to a birth goes alone and at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from sync_agent.contract.receipts import Receipt
from sync_agent.contract.topics import DeviceId, shard
from sync_agent.ingest.answers import Post

GAP_S: Final = 0.2
"""On average at most one receipt to a device within so long, seconds."""

AT_ONCE: Final = 6
"""Receipts to a device that need not wait after a quiet while. A record has two, that it is held and its ruling: those of
visitors who come one right after the other are not gathered, those of a backlog are."""

ROUND_S: Final = 0.02
"""Gathered receipts go in rounds so long apart, seconds: with many devices each would else be a round of its own."""

TIDY_S: Final = 1.0
"""Between two looks for devices that nothing need be remembered of, seconds."""

MOST: Final = 200
"""With so many answers a gathered receipt does not wait."""

Chain = tuple[str, str]
"""Device and epoch."""


@dataclass(slots=True)
class _Box:
    """What is said to a device about an epoch.

    Attributes:
        even_at: when the device was told no more than it should be on average (monotonic clock).
        waiting: what is gathered until the next may go.
    """

    even_at: float
    waiting: Post | None = None

    @property
    def free_at(self) -> float:
        """When the next receipt may go."""
        return self.even_at - (AT_ONCE - 1) * GAP_S

    def empty(self, now: float) -> None:
        """Note that what waited goes now."""
        self.waiting, self.even_at = None, max(self.even_at, now) + GAP_S


def joined(older: Receipt, newer: Receipt) -> Receipt:
    """Return one receipt that says what two say about the same epoch of a device.

    The taking and the judging of records are answered by two threads, so the newer one need not hold more.
    """
    held = max(older, newer, key=lambda receipt: (receipt.upto, -sum(last - first + 1 for first, last in receipt.gaps)))
    rulings = {ruling.seq: ruling for ruling in (*older.rulings, *newer.rulings)}
    rejections = dict.fromkeys((*older.rejections, *newer.rejections))
    answers = {"rulings": tuple(rulings.values()), "rejections": tuple(rejections), "at": newer.at}
    return held.model_copy(update=answers)


class Postman:
    """Says receipts, some of them later in a thread of its own. For any thread."""

    def __init__(self, say: Callable[[str, bytes, int], None]) -> None:
        """Make one; nothing is said yet.

        Args:
            say: publishes to a device: topic, payload, shard.
        """
        self._say = say
        self._boxes: dict[Chain, _Box] = {}
        self._late: dict[Chain, _Box] = {}  # those that something waits in
        self._changed = threading.Condition()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="postman", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Say at once what waits, and end."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify()
        self._thread.join(timeout=10)

    def deliver(self, posts: Iterable[Post]) -> None:
        """Say receipts: at once where the device was told nothing for a while, else together with what else comes soon."""
        now, due = time.monotonic(), []
        with self._changed:
            for post in posts:
                receipt = post.receipt
                if receipt.reconciles:
                    due.append(post)
                    continue
                box = self._boxes.setdefault((receipt.device, receipt.epoch), _Box(even_at=now))
                whole = post if box.waiting is None else Post(joined(box.waiting.receipt, receipt), post.office)
                if now >= box.free_at or len(whole.receipt.rulings) + len(whole.receipt.rejections) >= MOST:
                    box.empty(now)
                    self._late.pop((receipt.device, receipt.epoch), None)
                    due.append(whole)
                else:
                    box.waiting = whole
                    self._late[receipt.device, receipt.epoch] = box
                    if len(self._late) == 1:
                        self._changed.notify()
        self._send(due)

    def _run(self) -> None:
        tidy_at = 0.0
        while not self._is_stopping:
            with self._changed:
                now = time.monotonic()
                if now >= tidy_at:
                    tidy_at = now + TIDY_S
                    self._tidy(now)
                self._changed.wait(ROUND_S if self._late else TIDY_S)
                due = self._due(time.monotonic())
            self._send(due)
        with self._changed:
            due = self._due(float("inf"))
        self._send(due)

    def _due(self, now: float) -> list[Post]:
        """Take out what may go by now."""
        due = []
        for chain, box in list(self._late.items()):
            if box.waiting is not None and box.free_at <= now:
                due.append(box.waiting)
                box.empty(now)
                del self._late[chain]
        return due

    def _tidy(self, now: float) -> None:
        """Forget the devices that nothing waits for, and that may be told anything at once."""
        for chain, box in list(self._boxes.items()):
            if box.waiting is None and box.even_at <= now:
                del self._boxes[chain]

    def _send(self, due: Iterable[Post]) -> None:
        for post in due:
            for payload in post.payloads:
                self._say(post.topic, payload, shard(DeviceId(post.receipt.device)))

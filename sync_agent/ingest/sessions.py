"""The sessions of the shards held: one durable MQTT session a shard, all in one thread.

Who holds a shard hears its session and inherits what waits in it: client id and certificate go with the shard, not the agent.
A message is acknowledged only after its transaction is committed; until then the broker keeps it and gives it again. While the
inbox is full, for the database is away or slow, nothing is read, and the connections are kept alive.
"""

from __future__ import annotations

import random
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import structlog

from sync_agent.contract import topics
from sync_agent.contract.topics import Tenant
from sync_agent.fleet.authority import Files, session_name
from sync_agent.ingest.inbox import Inbox, Letter
from sync_agent.ingest.line import KEEPALIVE_S, BrokerAccess, Line, Session

log = structlog.get_logger(__name__)

RETRY_MAX_S: Final = 30.0
AGAIN_S: Final = 0.5
"""A connection that was lost is tried again within this time; one that cannot be had within ever longer ones."""

SHORT_S: Final = 5.0
"""A connection that was lost sooner counts as one that could not be had, seconds."""

TEND_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class _Say:
    topic: str
    payload: bytes
    shard: int


class Sessions:
    """Hears the shards it is told to hold. `hold`, `acknowledge` and `say` may be called from any thread.

    Attributes:
        inbox: what was heard.
    """

    def __init__(
        self,
        access: BrokerAccess,
        files: Files,
        tenant: Tenant,
        may_connect: Callable[[], bool],
        now: Callable[[], datetime],
    ) -> None:
        """Prepare; nothing is connected yet.

        Args:
            access: the broker.
            files: where the certificates of the sessions lie.
            tenant: whose devices.
            may_connect: whether the shards are surely held at this moment. A session that another agent took over is lost
                together with its lease: without this question the two would throw each other out for ever.
            now: the clock, UTC.
        """
        self.inbox = Inbox(self._wake)
        self._access = access
        self._files = files
        self._tenant = tenant
        self._may_connect = may_connect
        self._now = now
        self._held: frozenset[int] = frozenset()
        self._lines: dict[int, Line] = {}
        self._said: deque[_Say | Sequence[Letter]] = deque()
        self._is_rung = False
        self._unread: set[int] = set()
        self._watched: dict[int, tuple[socket.socket, int]] = {}
        self._greeted: set[int] = set()
        self._heard_before: set[int] = set()
        self._connections = 0
        self._failures = 0
        self._next_s = 0.0
        self._failed_s = float("-inf")
        self._jitter = random.Random()
        self._is_complete = False
        self._last_loss = ""
        self._is_stopping = False
        self._selector = selectors.DefaultSelector()
        self._bell, self._ear = socket.socketpair()
        self._bell.setblocking(False)
        self._ear.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="sessions", daemon=True)

    def start(self) -> None:
        """Begin to connect what is held."""
        self._thread.start()

    def stop(self) -> None:
        """Send what waits and hang up. What is not acknowledged stays with the broker."""
        self._is_stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout=10)
        self._bell.close()
        self._ear.close()

    def hold(self, shards: frozenset[int]) -> None:
        """Hear these shards from now on and no others."""
        self._held = shards
        self._wake()

    def acknowledge(self, letters: Sequence[Letter]) -> None:
        """Tell the broker that messages are safe. Those of an earlier connection are left alone: they come again."""
        self._said.append(letters)
        self._wake()

    def say(self, topic: str, payload: bytes, shard: int) -> None:
        """Publish to a device, by its shard's session where that is up. Lost without harm: the device sends again."""
        self._said.append(_Say(topic, payload, shard))
        self._wake()

    @property
    def connected(self) -> frozenset[int]:
        """The shards whose sessions are up."""
        return frozenset(shard for shard, line in self._lines.copy().items() if line.up_since is not None)

    def _wake(self) -> None:
        if not self._is_rung:
            self._is_rung = True
            with suppress(BlockingIOError, OSError):
                self._bell.send(b"!")

    # Everything below runs in the thread of the sessions.

    def _run(self) -> None:
        self._selector.register(self._ear, selectors.EVENT_READ)
        tend_at = stay_at = 0.0
        while not self._is_stopping:
            try:
                self._turn()
                now = time.monotonic()
                if now >= tend_at:
                    tend_at = now + TEND_S
                    self._tend(is_to_stay := now >= stay_at)
                    stay_at = now + KEEPALIVE_S / 2 if is_to_stay else stay_at
            except Exception:
                # The edge of the thread: without it the agent would be deaf and look well.
                log.exception("sessions.failed")
                self._failed(None, "a fault of ours")
                for line in list(self._lines.values()):
                    self._drop(line)
        self._speak()
        for line in list(self._lines.values()):
            self._drop(line)
        self._selector.close()

    def _turn(self) -> None:
        self._look()  # first: what is over has closed its socket, and a new line may be given the same number
        for shard in self._lines.keys() - self._held:
            self._drop(self._lines[shard])
            self.inbox.forget(shard)
        self._connect_one()
        self._speak()
        for line in self._lines.values():
            if line.wants_write:
                line.write()
            self._watch(line)
        reads = not self.inbox.is_full
        for key, mask in self._selector.select(self._wait_s(reads)):
            if key.data is None:
                with suppress(BlockingIOError):
                    self._ear.recv(4096)
                self._is_rung = False  # before the next turn looks at what there is to do: nobody rings in vain
            elif mask & selectors.EVENT_READ:
                self._unread.add(key.data)
        if reads:
            self._unread = {shard for shard in self._unread if self._lines[shard].read()}

    def _wait_s(self, reads: bool) -> float:
        if self._said or (reads and self._unread):
            return 0.0
        if self._held - self._lines.keys() and self._may_connect():
            return min(TEND_S, max(0.0, self._next_s - time.monotonic()))
        return TEND_S

    def _connect_one(self) -> None:
        """Open one of the lines that are missing: one a turn, so that the others are served in between."""
        missing = self._held - self._lines.keys()
        if not missing or time.monotonic() < self._next_s or not self._may_connect():
            return
        shard = min(missing)
        self._connections += 1
        session = Session(
            shard, session_name(shard), self._files.session_certificate(shard), topics.of_shard(self._tenant, shard)
        )
        try:
            self._lines[shard] = Line(self._access, session, self._connections, self.inbox.put, self._now)
        except OSError as err:
            self._failed(shard, str(err))

    def _speak(self) -> None:
        """Give the lines what is to be acknowledged and said; they send it when they are next told to write."""
        while self._said:
            match self._said.popleft():
                case _Say(topic, payload, shard):
                    line = self._lines.get(shard) or next(iter(self._lines.values()), None)
                    if line is not None:
                        line.say(topic, payload)
                case letters:
                    self._acknowledge(letters)

    def _acknowledge(self, letters: Sequence[Letter]) -> None:
        by_connection: dict[int, list[Letter]] = {}
        for letter in letters:
            by_connection.setdefault(letter.connection, []).append(letter)
        for line in self._lines.values():
            if line.number in by_connection:
                line.acknowledge(by_connection[line.number])

    def _watch(self, line: Line) -> None:
        """Have the selector wait for what the line can use now."""
        connection, shard = line.socket, line.session.shard
        if connection is None:
            return
        wanted = (0 if self.inbox.is_full else selectors.EVENT_READ) | (selectors.EVENT_WRITE if line.wants_write else 0)
        known = self._watched.get(shard, (None, 0))[1]
        if wanted == known:
            return
        if not wanted:
            self._unwatch(shard)
            return
        if known:
            self._selector.modify(connection, wanted, shard)
        else:
            self._selector.register(connection, wanted, shard)
        self._watched[shard] = (connection, wanted)

    def _unwatch(self, shard: int) -> None:
        if shard in self._watched:
            self._selector.unregister(self._watched.pop(shard)[0])

    def _look(self) -> None:
        """Notice which lines are over and which came up, and say so when all are or no longer all are."""
        for line in list(self._lines.values()):
            if line.trouble is None and line.over is None:
                self._greet(line)
            else:
                self._end(line)
        up = self.connected
        is_complete = bool(self._held) and up == self._held
        if is_complete and not self._is_complete:
            log.info("broker.connected", sessions=len(up))
        elif self._is_complete and up < self._held:
            log.warning("broker.lost", sessions=len(up), of=len(self._held), reason=self._last_loss)
        self._is_complete = is_complete

    def _end(self, line: Line) -> None:
        """Forget a line that is over, and settle when to try again."""
        shard, reason, now = line.session.shard, line.trouble or line.over or "", time.monotonic()
        self._drop(line)
        if line.trouble is not None or line.up_since is None or now - line.up_since < SHORT_S:
            self._failed(shard, reason)
        else:
            self._failures = 0
            self._next_s = max(self._next_s, now + self._jitter.uniform(0, AGAIN_S))
            self._last_loss = reason
            log.debug("broker.session-lost", shard=shard, reason=reason)

    def _greet(self, line: Line) -> None:
        """Once a line is up: what an earlier one heard and the broker still has comes again, so it need not lie here too."""
        if line.up_since is not None and line.number not in self._greeted:
            self._greeted.add(line.number)
            self._next_s = 0.0
            if line.has_queue and line.session.shard in self._heard_before:
                self.inbox.forget(line.session.shard, but=line.number)
            self._heard_before.add(line.session.shard)

    def _failed(self, shard: int | None, reason: str) -> None:
        now = time.monotonic()
        if now < self._next_s or now < self._failed_s + AGAIN_S:
            self._next_s = max(self._next_s, self._failed_s + AGAIN_S)
            return  # when the broker goes, all go; that is one failure
        self._failures, self._failed_s = self._failures + 1, now
        wait_s = self._jitter.uniform(0, min(RETRY_MAX_S, AGAIN_S * 2.0 ** min(self._failures, 10)))
        self._next_s = now + max(wait_s, AGAIN_S / 10)
        place = f"{self._access.host}:{self._access.port}"
        log.warning(
            "broker.unreachable",
            code="ING-02",
            broker=place,
            shard=shard,
            reason=reason,
            tries=self._failures,
            wait_s=round(wait_s, 1),
            todo=f"see that the broker runs at {place}, trusts our authority, has read its revocation list and access rules "
            "(system/mosquitto.py), and that no other installation uses the same names there",
        )

    def _tend(self, is_to_stay: bool) -> None:
        for shard, line in self._lines.items():
            if line.up_since is not None and time.monotonic() - line.up_since > SHORT_S:
                self._failures = 0
            if self.inbox.is_full:
                if is_to_stay:
                    line.stay(f"rz/1/{self._tenant}/dn/{line.session.name}/alive")
            elif shard not in self._unread:
                line.tend()

    def _drop(self, line: Line) -> None:
        """Hang up and forget a line."""
        shard = line.session.shard
        self._unwatch(shard)
        line.close()
        del self._lines[shard]
        self._unread.discard(shard)
        self._greeted.discard(line.number)

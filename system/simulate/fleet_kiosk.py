"""One simulated kiosk: signs, keeps, sends, sends again until the centre's receipt, and knows what became of every record.

It speaks the product's protocol with the product's contract (envelope, batch, receipts, birth), without screen, card or disk, so
that thousands fit into one process. What it keeps is lost with the process: the outbox of the product is tested elsewhere.
"""

from __future__ import annotations

import asyncio
import random
import secrets
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Final

from uuid_utils import uuid7

from kiosk.uplink.link import pause_s
from sync_agent.contract import envelope, receipts, topics
from sync_agent.contract.envelope import BATCH_MAX, GENESIS, MAX_BYTES, Place
from sync_agent.contract.receipts import Forged, Receipt, Rejection, Ruling
from sync_agent.contract.status import Birth, Link, State, Telemetry
from system.simulate.fleet_roll import Member
from system.simulate.fleet_work import visit
from system.simulate.mqtt import Connection, Door, Will

WINDOW: Final = 20
"""Messages without receipt that may be under way at once."""

_MANIFEST_BYTES: Final = 2048
"""More than the signature and the manifest of a full batch take."""

Wait = Callable[[int, random.Random], float]
"""Seconds to wait before a try to connect, given how many have failed or did not last in a row, from 1."""


@dataclass(frozen=True, slots=True)
class FullJitter:
    """The product's own back-off: anything between nothing and a bound that doubles, so that a fleet does not come back at once.

    Attributes:
        longest_s: the bound's own bound, seconds.
        scale: how much shorter than in the field everything takes, for tests.
    """

    longest_s: float = 300.0
    scale: float = 1.0

    def __call__(self, failures: int, chance: random.Random) -> float:
        """Return the seconds to wait."""
        return self.scale * pause_s(failures, self.longest_s, chance)


@dataclass(frozen=True, slots=True)
class Pace:
    """How the kiosks of a fleet behave.

    Attributes:
        wait: before each try to connect.
        resend_s: what has no receipt after this long is sent again.
        batch: most records in one message; 1 sends each by itself.
        keepalive_s: of the connection.
        telemetry_s: between two reports of how the kiosk is; 0 for none.
    """

    wait: Wait = FullJitter()
    resend_s: float = 30.0
    batch: int = BATCH_MAX
    keepalive_s: int = 60
    telemetry_s: float = 0.0


@dataclass(slots=True)
class Written:
    """A signed record and what became of it.

    Attributes:
        message: what is sent when the record goes alone.
        payload: its exact signed bytes, for a batch.
        sent: how often.
        sent_at: when first, monotonic.
        received_at: when the receipt was heard, monotonic.
        ruling: what the rules said.
    """

    seq: int
    digest: str
    message: bytes
    payload: bytes
    sent: int = 0
    sent_at: float | None = None
    received_at: float | None = None
    ruling: Ruling | None = None


@dataclass(slots=True)
class _Flight:
    """A message under way: the records in it that have no receipt, and when it left."""

    open: set[int]
    at: float


class Kiosk:
    """One device of the fleet. Runs in the event loop.

    Attributes:
        written: every record, by sequence; never shrinks.
        waiting: those without receipt, in order.
        rejections: what the centre could not take.
        forged: receipts that were not to be believed.
        tried_at: the moment of each try to connect, monotonic.
        connected_at: the moment of each admission by the broker, monotonic.
        is_reconciled: whether the centre has answered the birth of the last connection.
    """

    def __init__(
        self, member: Member, host: str, port: int, pace: Pace, chance: random.Random, on_change: Callable[[], None]
    ) -> None:
        """Make a kiosk; it does nothing yet.

        Args:
            member: who it is.
            host: of the broker.
            port: of the broker.
            pace: how it behaves.
            chance: where its random waits come from.
            on_change: told when it connected, could not, lost the connection or heard a receipt.
        """
        self.member = member
        self.epoch = secrets.token_hex(8)
        self.written: dict[int, Written] = {}
        self.waiting: dict[int, Written] = {}
        self.rejections: list[Rejection] = []
        self.forged = 0
        self.tried_at: list[float] = []
        self.connected_at: list[float] = []
        self._host, self._port = host, port
        self._pace, self._chance, self._on_change = pace, chance, on_change
        self._connection: Connection | None = None
        self._flights: list[_Flight] = []
        self._stock: deque[Written] = deque()
        self._prev = GENESIS
        self._boot = 0
        self._nonce = ""
        self.is_reconciled = False

    @property
    def is_connected(self) -> bool:
        """Whether the broker has let it in and the connection stands."""
        return self._connection is not None

    def prepare(self, count: int) -> None:
        """Sign what will happen next already now, so that it costs nothing when it happens."""
        self._stock.extend(self._sign(datetime.now(UTC)) for _ in range(count))

    def happen(self) -> Written:
        """Let the next thing happen: somebody is verified, or passes the gate. It is signed, kept, and sent when it can be."""
        record = self._stock.popleft() if self._stock else self._sign(datetime.now(UTC))
        self.written[record.seq] = self.waiting[record.seq] = record
        self._send()
        return record

    def _sign(self, at: datetime) -> Written:
        seq = len(self.written) + len(self._stock) + 1
        facts, personal = visit(self.member.site, self.member.crew, seq - 1, at)
        signed = envelope.write(
            facts,
            personal,
            record_id=str(uuid7()),
            source=(self.member.tenant, self.member.device),
            time=at,
            place=Place(self.epoch, seq, self._prev),
            boot=max(1, self._boot),
            clock_age_s=0,
            signing_key=self.member.signing_key,
            registry_key=self.member.registry_key,
        )
        self._prev = signed.digest
        return Written(seq, signed.digest, signed.message, envelope.payload_of(signed.message))

    def cut(self) -> None:
        """Lose the connection, as by a pulled cable."""
        if self._connection is not None:
            self._connection.abort()
            self._connection = None

    async def run(self) -> None:
        """Connect, and connect again after every loss, until cancelled."""
        failures = 1
        door = Door(self._host, self._port, self.member.context())
        try:
            while True:
                await asyncio.sleep(self._pace.wait(failures, self._chance))
                self.tried_at.append(monotonic())
                self._boot += 1
                try:
                    connection = await self._connect(door)
                except (OSError, TimeoutError):
                    failures += 1
                    self._on_change()
                    continue
                failures = 1
                try:
                    await self._attend(connection)
                finally:
                    self._connection = None
                    connection.close()
                self._on_change()
        finally:
            self._on_change()

    def _send(self) -> None:
        """Send what waits and is not under way, oldest first, packed into batches where more than one waits."""
        connection = self._connection
        if connection is None:
            return
        under_way = set().union(*(flight.open for flight in self._flights))
        free = (
            [record for record in self.waiting.values() if record.seq not in under_way]
            if len(under_way) < len(self.waiting)
            else []
        )
        topic = topics.up(self.member.tenant, self.member.device, topics.Up.RECORD)
        while free and len(self._flights) < WINDOW:
            pack = self._pack(free)
            del free[: len(pack)]
            now = monotonic()
            for record in pack:
                record.sent += 1
                record.sent_at = record.sent_at or now
            self._flights.append(_Flight({record.seq for record in pack}, now))
            connection.publish(topic, self._message(pack))

    def _pack(self, free: list[Written]) -> list[Written]:
        """Return the records that go into the next message."""
        pack, size = free[:1], _MANIFEST_BYTES + len(free[0].payload)
        for record in free[1 : self._pace.batch]:
            size += len(record.payload) + 1
            if size > MAX_BYTES:
                break
            pack.append(record)
        return pack

    def _message(self, pack: list[Written]) -> bytes:
        if len(pack) == 1:
            return pack[0].message
        return envelope.batch([record.payload for record in pack], self.member.signing_key)

    async def _connect(self, door: Door) -> Connection:
        member = self.member
        last = State(boot=self._boot, link=Link.OFFLINE).model_dump_json().encode()
        will = Will(topics.up(member.tenant, member.device, topics.Up.STATE), last)
        connection = await Connection.open(door, member.device, self._hear, will=will, keepalive_s=self._pace.keepalive_s)
        try:
            await connection.subscribe(topics.down(member.tenant, member.device, topics.Down.RECEIPT))
        except BaseException:
            connection.abort()
            raise
        return connection

    async def _attend(self, connection: Connection) -> None:
        """Say who is there, send what waits, and send again what stays without receipt, until the connection ends."""
        self.connected_at.append(monotonic())
        self._connection = connection
        self._flights.clear()
        self._introduce(connection)
        self._on_change()
        self._send()
        next_report = monotonic() + self._pace.telemetry_s
        step = min(self._pace.resend_s, self._pace.telemetry_s or self._pace.resend_s)
        while not connection.ended.is_set():
            try:
                async with asyncio.timeout(self._chance.uniform(0.5, 1.0) * step):
                    await connection.ended.wait()
            except TimeoutError:
                now = monotonic()
                if self._pace.telemetry_s and now >= next_report:
                    next_report = now + self._pace.telemetry_s
                    report = Telemetry(at=datetime.now(UTC), queue=len(self.waiting), oldest_age_s=0)
                    self._say(connection, topics.Up.TELEMETRY, report.model_dump_json(), qos=0)
                self._flights = [flight for flight in self._flights if now - flight.at < self._pace.resend_s]
                self._send()

    def _introduce(self, connection: Connection) -> None:
        self._nonce, self.is_reconciled = secrets.token_hex(8), False
        birth = Birth(
            boot=self._boot,
            version="simulated",
            site=self.member.site,
            epoch=self.epoch,
            last_seq=len(self.written),
            last_digest=self.written[len(self.written)].digest if self.written else "",
            nonce=self._nonce,
        )
        self._say(connection, topics.Up.BIRTH, birth.model_dump_json(), retain=True)
        self._say(connection, topics.Up.STATE, State(boot=self._boot, link=Link.ONLINE).model_dump_json(), retain=True)

    def _say(self, connection: Connection, what: topics.Up, text: str, *, qos: int = 1, retain: bool = False) -> None:
        connection.publish(topics.up(self.member.tenant, self.member.device, what), text.encode(), qos=qos, retain=retain)

    def _hear(self, _topic: str, message: bytes) -> None:
        receipt = self._believed(message)
        if receipt is None:
            self.forged += 1
            return
        self.rejections += receipt.rejections
        if receipt.epoch == self.epoch:
            self._settle(receipt)
        self._on_change()
        self._send()

    def _believed(self, message: bytes) -> Receipt | None:
        for key in self.member.agent_keys:
            try:
                return receipts.read(message, key, self.member.device)
            except Forged:
                continue
        return None

    def _settle(self, receipt: Receipt) -> None:
        now = monotonic()
        missing = {seq for first, last in receipt.gaps for seq in range(first, last + 1)}
        for seq in [seq for seq in self.waiting if seq <= receipt.upto and seq not in missing]:
            self.waiting.pop(seq).received_at = now
            for flight in self._flights:
                flight.open.discard(seq)
        self._flights = [flight for flight in self._flights if flight.open]
        for ruling in receipt.rulings:
            record = self.written.get(ruling.seq)
            if record is not None and record.digest == ruling.digest:
                record.ruling = ruling
        if receipt.reconciles and receipt.reconciles == self._nonce:
            self._reconcile(receipt.upto, missing)

    def _reconcile(self, upto: int, missing: set[int]) -> None:
        """Take back to waiting what was thought to be held and is not."""
        self.is_reconciled = True
        lost = [seq for seq, record in self.written.items() if record.received_at is not None and (seq > upto or seq in missing)]
        if lost:
            for seq in lost:
                self.written[seq].received_at = None
            back = self.waiting.keys() | lost
            self.waiting = {seq: self.written[seq] for seq in sorted(back)}

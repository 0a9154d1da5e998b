"""What is sent when: the oldest first, many in one message on a backlog, and again until the centre's receipt has come.

Nothing here is kept on the disk: after a start everything without a receipt is due. No clock runs here and nothing waits; the
courier asks what is due and is told when to ask again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Protocol

import structlog
from joserfc.jwk import OKPKey

from kiosk.clock import Clock
from kiosk.settings import UplinkSettings
from kiosk.uplink.outbox import Outbox, Outgoing
from kiosk.uplink.settling import Spot
from sync_agent.contract import envelope
from sync_agent.contract.envelope import BATCH_MAX, MAX_BYTES
from sync_agent.contract.receipts import Receipt
from sync_agent.contract.suites import NotSigned

log = structlog.get_logger(__name__)

ALONE_AFTER: Final = 3
"""After so many tries without a word a record goes alone: what is wrong with it must not hold up what it is packed with."""

SLOWER: Final = 10
"""How many times slower the centre is asked about a record that it holds but has not ruled on."""

CUT_S: Final = 10.0
"""A connection that ends so soon after a record, seconds, was ended because of it, if that happens again and again."""

ON_ITS_WAY_S: Final = 3.0
"""What went out so long before the centre compared its books with ours, seconds, and is not in them, did not get there."""

REMEMBERED: Final = 256
"""How many batches are remembered, so that a rejection of one is understood; more than are ever under way."""

_MANIFEST_BYTES: Final = 512
_DIGEST_BYTES: Final = 92
"""What the signed manifest of a batch takes at most, by itself and for each record (64 hexadecimal digits, quoted, in base64)."""


class Signs(Protocol):
    """Whoever has the device's record key; another after a rotation."""

    @property
    def signing_key(self) -> OKPKey:
        """Private Ed25519 record key in force."""


@dataclass(frozen=True, slots=True)
class Try:
    """The last sending of a record.

    Attributes:
        count: how often it was sent since the link came up.
        total: how often since the start.
        at, due: when that was and when it is sent again; monotonic seconds.
        parcel: number of the message.
    """

    count: int
    total: int
    at: float
    due: float
    parcel: int


class Sender:
    """Decides what goes out now. Used from one event loop."""

    def __init__(
        self,
        outbox: Outbox,
        who: Signs,
        publish: Callable[[bytes], None],
        settings: UplinkSettings,
        clock: Clock,
        jitter: random.Random,
    ) -> None:
        self._outbox = outbox
        self._who = who
        self._publish = publish
        self._settings = settings
        self._clock = clock
        self._jitter = jitter
        self._tries: dict[Spot, Try] = {}
        self._alone: set[Spot] = set()
        self._batches: dict[str, tuple[Spot, ...]] = {}
        self._parcels = 0
        self._heard_at = clock.monotonic()
        self._inquiry = _Inquiry(settings, jitter)
        self._silence = _Silence()

    @property
    def is_unanswered(self) -> bool:
        """Whether records were sent again and again and not one receipt has come.

        So looks an ACL that denies us on MQTT 3.1.1: the broker acknowledges and throws away (reference, section 4), or hangs up
        on every record, as Mosquitto 2.0.11 does. Then it counts how long that goes on, for we are hardly ever connected.
        """
        now, bound_s = self._clock.monotonic(), self._settings.unanswered_s
        if self._silence.cuts >= ALONE_AFTER and self._silence.age_s(now) >= bound_s:
            return True
        return self._silence.length_s(now) >= bound_s and any(one.total >= ALONE_AFTER for one in self._tries.values())

    def connected(self) -> None:
        """Forget the pauses: whatever has no receipt is due."""
        now = self._clock.monotonic()
        self._tries = {spot: Try(0, one.total, one.at, now, one.parcel) for spot, one in self._tries.items()}
        self._inquiry.begin(now)

    def disconnected(self) -> None:
        """Stop counting the silence: who is not connected cannot be answered."""
        self._silence.pause(self._clock.monotonic())

    def compared(self) -> None:
        """The centre has compared its books with ours: what it had time to take in and still waits was lost, and is due.

        So goes what was said while no sync agent was there, as soon as one is, instead of after the pause.
        """
        now = self._clock.monotonic()
        for spot, one in self._tries.items():
            if now - one.at >= ON_ITS_WAY_S:
                self._tries[spot] = Try(one.count, one.total, one.at, min(one.due, now), one.parcel)

    def take(self, receipt: Receipt, changed: Sequence[Spot]) -> None:
        """Learn from a receipt that the outbox has taken in.

        Args:
            receipt: believed.
            changed: the records it changed.
        """
        self._heard_at = self._clock.monotonic()
        if changed or not receipt.reconciles:  # the answer to a birth that moves nothing says that births are heard, no more
            self._silence.end()
        self._inquiry.answered(changed, self._heard_at)
        for rejection in receipt.rejections:
            # The batch as a whole: nobody can tell which record was the cause, so each has to show by itself.
            if not rejection.digest and (spots := self._batches.pop(rejection.message_sha256, ())):
                log.warning("batch.rejected", records=len(spots), fault=rejection.fault.value)
                self._alone.update(spots)
                for spot in spots:
                    self._tries.pop(spot, None)

    def send_due(self) -> float | None:
        """Send every record whose time has come, as far as the window goes.

        Returns:
            When something is due next, monotonic seconds; None while nothing waits.

        Raises:
            OutboxFault: it cannot be read.
        """
        now = self._clock.monotonic()
        stuck = sum(one.total > ALONE_AFTER for one in self._tries.values())
        spots = self._outbox.waiting(self._settings.window * BATCH_MAX + stuck)
        self._tries = {spot: self._tries[spot] for spot in spots if spot in self._tries}
        self._alone.intersection_update(spots)
        room = self._settings.window - len({one.parcel for one in self._tries.values() if self._is_under_way(one, now)})
        due = [spot for spot in spots if spot not in self._tries or self._tries[spot].due <= now]
        for parcel in self._pack(self._fetched(due)):
            if room <= 0:
                break
            room -= 1
            self._send(parcel, now)
        self._inquire(now)
        return min([*(one.due for one in self._tries.values()), *self._inquiry.due()], default=None)

    def _is_under_way(self, one: Try, now: float) -> bool:
        """Whether a message takes up the window: not once the centre has had its time and answered others meanwhile."""
        is_passed_over = self._heard_at > one.at and now >= one.at + self._settings.resend_s
        return one.due > now and not is_passed_over

    def _pack(self, rows: Iterable[Outgoing]) -> Iterator[list[Outgoing]]:
        """Yield what goes out in one message each: neighbours of one epoch up to the limits, or one that has to go alone."""
        parcel: list[Outgoing] = []
        size = _MANIFEST_BYTES
        for row in rows:
            own = len(row.message) + _DIGEST_BYTES  # signed alone it is longer than its line in a batch
            is_apart = bool(parcel) and any(self._goes_alone(one) for one in (parcel[0].spot, row.spot))
            is_other = bool(parcel) and parcel[0].spot.epoch != row.spot.epoch
            if is_apart or is_other or len(parcel) == BATCH_MAX or (parcel and size + own > MAX_BYTES):
                yield parcel
                parcel, size = [], _MANIFEST_BYTES
            parcel.append(row)
            size += own
        if parcel:
            yield parcel

    def _fetched(self, due: Sequence[Spot]) -> Iterator[Outgoing]:
        """Yield the records, read in portions: the window may be full after the first."""
        for first in range(0, len(due), BATCH_MAX):
            yield from self._outbox.fetch(due[first : first + BATCH_MAX])

    def _goes_alone(self, spot: Spot) -> bool:
        return spot in self._alone or (spot in self._tries and self._tries[spot].total >= ALONE_AFTER)

    def _send(self, parcel: Sequence[Outgoing], now: float) -> None:
        self._parcels += 1
        first = self._tries.get(parcel[0].spot)
        due = now + pause(first.count if first else 0, self._settings, self._jitter)
        for row in parcel:
            last = self._tries.get(row.spot, Try(0, 0, now, now, 0))
            self._tries[row.spot] = Try(last.count + 1, last.total + 1, now, due, self._parcels)
        for message in self._messages(parcel):
            self._publish(message)
        self._silence.begin(now)
        log.info("record.sent", seq=parcel[0].spot.seq, records=len(parcel), tries=self._tries[parcel[0].spot].total)

    def _messages(self, parcel: Sequence[Outgoing]) -> list[bytes]:
        """Return the one message of a parcel; where a record is damaged, each by itself for the centre to quarantine."""
        if len(parcel) == 1:
            return [parcel[0].message]
        try:
            message = envelope.batch([envelope.payload_of(row.message) for row in parcel], self._who.signing_key)
        except NotSigned as err:
            log.error("record.damaged", first=parcel[0].spot.seq, last=parcel[-1].spot.seq, reason=str(err))
            self._alone.update(row.spot for row in parcel)
            return [row.message for row in parcel]
        self._batches[sha256(message).hexdigest()] = tuple(row.spot for row in parcel)
        while len(self._batches) > REMEMBERED:
            del self._batches[next(iter(self._batches))]
        return [message]

    def _inquire(self, now: float) -> None:
        """Ask about records that the centre holds and has said nothing more about, by sending them again."""
        if not self._inquiry.is_due(now):
            return
        rows = self._outbox.unruled(self._inquiry.after, BATCH_MAX)
        for parcel in self._pack(rows):
            for message in self._messages(parcel):
                self._publish(message)
        self._inquiry.asked([row.spot for row in rows], now)


def pause(tries: int, settings: UplinkSettings, jitter: random.Random) -> float:
    """Return how long to wait for an answer after so many earlier tries, seconds: exponential with full jitter."""
    if tries == 0:
        return settings.resend_s
    ceiling = min(settings.retry_max_s, settings.resend_s * 2.0 ** min(tries, 30))
    return jitter.uniform(min(1.0, ceiling), ceiling)


class _Inquiry:
    """When to ask about records that are received but not ruled on, and how far the last question went."""

    def __init__(self, settings: UplinkSettings, jitter: random.Random) -> None:
        self._settings = settings
        self._jitter = jitter
        self._due: float | None = None
        self._tries = 0
        self._asked: set[Spot] = set()
        self.after: Spot | None = None

    def begin(self, now: float) -> None:
        self._tries = 0
        self._due = now + self._jitter.uniform(0, SLOWER * self._settings.resend_s)

    def is_due(self, now: float) -> bool:
        return self._due is not None and self._due <= now

    def due(self) -> list[float]:
        return [] if self._due is None else [self._due]

    def asked(self, spots: Sequence[Spot], now: float) -> None:
        self._asked = set(spots)
        self.after = spots[-1] if spots else None
        self._due = now + SLOWER * pause(self._tries, self._settings, self._jitter)
        self._tries = self._tries + 1 if spots else 0

    def answered(self, changed: Iterable[Spot], now: float) -> None:
        """Where the question brought an answer, ask about the next ones at once."""
        if self._due is not None and not self._asked.isdisjoint(changed):
            self._asked = set()
            self._tries, self._due = 0, now


class _Silence:
    """How long nothing has been answered, counted only while connected; and how often the line was cut on a record.

    Attributes:
        cuts: connections in a row that ended right after a record.
    """

    def __init__(self) -> None:
        self._since: float | None = None
        self._first: float | None = None
        self._before_s = 0.0
        self.cuts = 0

    def begin(self, now: float) -> None:
        if self._since is None:
            self._since = now
        if self._first is None:
            self._first = now

    def pause(self, now: float) -> None:
        if self._since is None:
            return
        self.cuts = self.cuts + 1 if now - self._since < CUT_S else 0
        self._before_s = self.length_s(now)
        self._since = None

    def end(self) -> None:
        self._since = self._first = None
        self._before_s = 0.0
        self.cuts = 0

    def length_s(self, now: float) -> float:
        return self._before_s + (0.0 if self._since is None else now - self._since)

    def age_s(self, now: float) -> float:
        return 0.0 if self._first is None else now - self._first

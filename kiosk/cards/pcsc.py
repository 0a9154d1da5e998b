"""The only door to pyscard: a PC/SC reader with a security module, watched by its own loop, read with a deadline.

pyscard's monitors stop without a word when pcscd dies, so one thread waits on SCardGetStatusChange itself, with a context of its
own, and makes a new one when the service has gone. A blocked SCardTransmit cannot be cancelled, so each reading has a thread of
its own, and what is never answered is left behind as a stuck reader until the card is taken away.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import timedelta, timezone
from typing import Any, Final

import structlog
from smartcard import scard

from kiosk.cards import photo, resident
from kiosk.cards.document import Document
from kiosk.cards.pages import PageTable, read_chip
from kiosk.cards.presence import ABSENT, Arrival, Presence, Settling
from kiosk.cards.reader import CardFault, CardLifted, DamagedCard, ReaderAbsent, ReaderStatus, ReaderStuck, UnknownCard
from kiosk.clock import Clock
from sync_agent.contract.kinds import PartState

log = structlog.get_logger(__name__)

STILL_S: Final = 0.15
"""How long a card must lie still before it is believed."""

CHINA: Final = timezone(timedelta(hours=8), "Asia/Shanghai")
"""Where validity dates are meant; fixed since 1991, so that no zone database is needed."""

_TURN_S: Final = 1.0  # one look around at least this often, should a notification get lost
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 2.0  # so that a service that came back is found again within 3 s
_SHARING_S: Final = 2.0
_LEAVING_S: Final = 0.5  # pcscd notices a card that left within 140 ms, measured
_STOP_S: Final = 2.0
_NOTIFICATION: Final = "\\\\?PnP?\\Notification"

_SERVICE_GONE: Final = frozenset(
    {scard.SCARD_E_NO_SERVICE, scard.SCARD_E_SERVICE_STOPPED, scard.SCARD_F_COMM_ERROR, scard.SCARD_E_INVALID_HANDLE}
)
_READER_GONE: Final = frozenset(
    {scard.SCARD_E_UNKNOWN_READER, scard.SCARD_E_READER_UNAVAILABLE, scard.SCARD_E_NO_READERS_AVAILABLE}
)
_CARD_GONE: Final = frozenset({scard.SCARD_E_NO_SMARTCARD, scard.SCARD_W_REMOVED_CARD})
_CARD_MUTE: Final = frozenset(
    {scard.SCARD_W_UNRESPONSIVE_CARD, scard.SCARD_W_UNPOWERED_CARD, scard.SCARD_W_UNSUPPORTED_CARD, scard.SCARD_E_PROTO_MISMATCH}
)


class _Refused(Exception):
    """PC/SC refused a call."""

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"{call} gave {code:08X}: {scard.SCardGetErrorMessage(code)}")
        self.code = code


def _require(call: str, code: int) -> None:
    if code != scard.SCARD_S_SUCCESS:
        raise _Refused(call, code)


class _Context:
    """One connection to pcscd, for one thread; only `cancel` may come from another."""

    def __init__(self) -> None:
        code, self._handle = scard.SCardEstablishContext(scard.SCARD_SCOPE_USER)
        _require("SCardEstablishContext", code)

    def __enter__(self) -> _Context:
        return self

    def __exit__(self, *_: object) -> None:
        scard.SCardReleaseContext(self._handle)

    def cancel(self) -> None:
        """End a `wait` that is under way in another thread."""
        scard.SCardCancel(self._handle)

    def readers(self, name: str) -> list[str]:
        """Return the readers whose name holds `name`."""
        code, readers = scard.SCardListReaders(self._handle, [])
        if code == scard.SCARD_E_NO_READERS_AVAILABLE:
            return []
        _require("SCardListReaders", code)
        return [reader for reader in readers if name in reader]

    def wait(self, known: Mapping[str, int], timeout_s: float) -> dict[str, int]:
        """Wait until a reader's state differs from `known`, readers come or go, or the time is over; return the states now."""
        asked = [*known.items(), (_NOTIFICATION, scard.SCARD_STATE_UNAWARE)]
        code, states = scard.SCardGetStatusChange(self._handle, math.ceil(timeout_s * 1000), asked)
        if code not in (scard.SCARD_E_TIMEOUT, scard.SCARD_E_CANCELLED):
            _require("SCardGetStatusChange", code)
        return {reader: state & ~scard.SCARD_STATE_CHANGED for reader, state, _ in states if reader in known}

    @contextlib.contextmanager
    def card(self, reader: str) -> Iterator[_Card]:
        """Connect to the card on `reader` and keep other programs away while the block runs."""
        protocols = scard.SCARD_PROTOCOL_T0 | scard.SCARD_PROTOCOL_T1
        code, handle, protocol = scard.SCardConnect(self._handle, reader, scard.SCARD_SHARE_SHARED, protocols)
        _require("SCardConnect", code)
        try:
            _require("SCardBeginTransaction", scard.SCardBeginTransaction(handle))
            try:
                yield _Card(handle, protocol)
            finally:
                scard.SCardEndTransaction(handle, scard.SCARD_LEAVE_CARD)
        finally:
            scard.SCardDisconnect(handle, scard.SCARD_LEAVE_CARD)


class _Card:
    """A card that is connected."""

    def __init__(self, handle: Any, protocol: int) -> None:
        self._handle = handle
        self._pci = scard.SCARD_PCI_T1 if protocol == scard.SCARD_PROTOCOL_T1 else scard.SCARD_PCI_T0

    def atr(self) -> bytes:
        """Return the answer to reset."""
        code, _, _, _, atr = scard.SCardStatus(self._handle)
        _require("SCardStatus", code)
        return bytes(atr)

    def transmit(self, command: bytes) -> bytes:
        """Send an APDU, return the response. Blocks for as long as the card likes."""
        code, response = scard.SCardTransmit(self._handle, self._pci, list(command))
        _require("SCardTransmit", code)
        return bytes(response)


def _lies_there(state: int) -> bool:
    return bool(state & scard.SCARD_STATE_PRESENT)


class PcscReader:
    """A reader of kind `pcsc-pages`; of several that match, the one that has a card."""

    def __init__(self, *, clock: Clock, name: str, read_deadline_s: float, pages: PageTable) -> None:
        """Set up; nothing is opened before `start`.

        Args:
            clock: for the age of a fault and the validity of cards.
            name: part of the PC/SC reader's name; empty for any.
            read_deadline_s: a reading that takes longer counts as a stuck reader.
            pages: how the reader's vendor offers the pages.
        """
        self._clock = clock
        self._name = name
        self._deadline_s = read_deadline_s
        self._pages = pages
        self._presence = Presence(clock)
        self._attached = False
        self._arrival: Arrival | None = None
        self._stuck = False
        self._attempt: asyncio.Future[Document] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._heard_once, self._ended = asyncio.Event(), asyncio.Event()
        self._stopping = threading.Event()
        self._context: _Context | None = None
        self._loop: asyncio.AbstractEventLoop

    # --- the seam: on the event loop's thread ----------------------------------------------------------------------

    @property
    def status(self) -> ReaderStatus:
        """How the reader is now."""
        return self._presence.status

    async def start(self) -> None:
        """Begin to watch; returns when the first look is done."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, name="card-watch", daemon=True).start()
        with contextlib.suppress(TimeoutError):  # a service that hangs is a status, not an error
            async with asyncio.timeout(_STOP_S):
                await self._heard_once.wait()

    def changes(self) -> AsyncIterator[ReaderStatus]:
        """Yield the status now, then every change of it, until the reader is stopped. Several may listen."""
        return self._presence.changes()

    async def read(self) -> Document:
        """Read the card that lies there.

        Raises:
            CardFault: the kind says why.
        """
        async with self._one_at_a_time:
            if self._attempt is not None:  # of a visit that was broken off
                await self._within_deadline(self._attempt)
            if not self._attached:
                raise ReaderAbsent(
                    "No PC/SC reader is attached, or pcscd does not answer. Check its cable and `systemctl status pcscd`"
                )
            if self._arrival is None:
                raise CardLifted("No card lies on the reader")
            began = time.monotonic()
            attempt: asyncio.Future[Document] = self._loop.create_future()
            self._attempt = attempt
            attempt.add_done_callback(self._attempt_ended)
            threading.Thread(target=self._work, args=(self._arrival, attempt), name="card-read", daemon=True).start()
            await self._within_deadline(attempt)
            try:
                document = attempt.result()
            except CardFault as fault:
                log.warning("card.not-read", code=fault.code, cause=str(fault), ms=_ms_since(began))
                raise
            facts = document.facts
            log.info(
                "card.read", kind=facts.kind, findings=[*facts.findings], portrait=bool(document.portrait), ms=_ms_since(began)
            )
            return document

    async def stop(self) -> None:
        """Stop watching and let go of the reader. A reading that is stuck is left behind."""
        self._stopping.set()
        until = time.monotonic() + _STOP_S
        while not self._ended.is_set() and time.monotonic() < until:
            if self._context is not None:
                self._context.cancel()  # again and again, for the case that the wait had not begun yet
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await self._ended.wait()
        if self._attempt is not None and not self._stuck:
            await asyncio.wait({self._attempt}, timeout=max(0.0, until - time.monotonic()))
        self._presence.close()

    async def _within_deadline(self, attempt: asyncio.Future[Document]) -> None:
        done, _ = await asyncio.wait({attempt}, timeout=0 if self._stuck else self._deadline_s)
        if not done:
            if not self._stuck:
                self._stuck = True
                log.error("card.reader-stuck", code=ReaderStuck.code, after_s=self._deadline_s)
                self._announce()
            raise ReaderStuck(
                f"The reader gave no answer in {self._deadline_s} s. Take the card away; if it stays stuck, re-plug it"
            )

    def _attempt_ended(self, attempt: asyncio.Future[Document]) -> None:
        attempt.exception()  # seen, even if the visit that asked has gone
        self._attempt = None
        if self._stuck:
            self._stuck = False
            log.info("card.reader-free-again")
            self._announce()

    def _heard(self, attached: bool, arrival: Arrival | None, cause: str) -> None:
        """Take what the watching thread saw."""
        if attached != self._attached or not self._heard_once.is_set():
            if attached:
                log.info("card.reader-attached")
            else:
                log.warning("card.reader-absent", code=ReaderAbsent.code, cause=cause)
        self._attached, self._arrival = attached, arrival
        self._heard_once.set()
        self._announce()

    def _announce(self) -> None:
        state, code = (PartState.WELL, "") if self._attached else ABSENT
        if self._stuck:
            state, code = PartState.FAILED, ReaderStuck.code
        self._presence.announce(state, code, has_card=self._arrival is not None)

    def _on_loop(self, call: Any, *args: Any) -> None:
        """Run something on the event loop's thread; nobody is there to care once the loop has closed."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(call, *args)

    # --- the watching thread ---------------------------------------------------------------------------------------

    def _watch(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._stopping.is_set():
            try:
                with _Context() as self._context:
                    pause_s = _FIRST_PAUSE_S
                    self._follow(self._context)
            except _Refused as err:
                cause = str(err)
            except Exception as err:  # the thread's edge: a watch that ends unseen would be a kiosk that never reads again
                log.exception("card.watch-failed")
                cause = type(err).__name__
            if not self._stopping.is_set():
                self._on_loop(self._heard, False, None, cause)
                self._stopping.wait(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
        self._on_loop(self._ended.set)

    def _follow(self, context: _Context) -> None:
        """Watch the readers until asked to stop.

        Raises:
            _Refused: the service has gone, or a reader went in mid-look.
        """
        settling = Settling(STILL_S)
        known: dict[str, int] = {}
        told: tuple[bool, Arrival | None] | None = None
        while not self._stopping.is_set():
            known = {reader: known.get(reader, scard.SCARD_STATE_UNAWARE) for reader in context.readers(self._name)}
            left_s = settling.left_s(time.monotonic())
            known |= context.wait(known, 0.0 if told is None else _TURN_S if left_s is None else left_s)
            there = next((Arrival(reader, state >> 16) for reader, state in known.items() if _lies_there(state)), None)
            seen = bool(known), settling.see(there, time.monotonic())
            if seen != told:
                told = seen
                self._on_loop(self._heard, *seen, "" if known else "pcscd runs, but no reader is attached")

    # --- the reading thread ----------------------------------------------------------------------------------------

    def _work(self, arrival: Arrival, attempt: asyncio.Future[Document]) -> None:
        """Read, and hand over what came of it; a visit that was broken off no longer wants it."""
        try:
            with _Context() as context:
                try:
                    document = self._read_once(context, arrival)
                except DamagedCard:
                    document = self._read_once(context, arrival)  # a page lost on the air costs milliseconds to ask for again
        except _Refused as err:
            self._on_loop(attempt.set_exception, ReaderAbsent(f"pcscd does not answer: {err}"))
        except CardFault as fault:
            self._on_loop(attempt.set_exception, fault)
        except Exception as err:  # the thread's edge
            log.exception("card.read-failed")
            self._on_loop(attempt.set_exception, DamagedCard(f"Reading failed with {type(err).__name__}"))
        else:
            self._on_loop(attempt.set_result, document)

    def _read_once(self, context: _Context, arrival: Arrival) -> Document:
        """Read the card from the beginning.

        Raises:
            CardFault: the kind says why.
            _Refused: the service has gone.
        """
        give_up_at = time.monotonic() + _SHARING_S
        while True:
            try:
                with context.card(arrival.reader) as card:
                    chip = read_chip(card.transmit, card.atr(), self._pages)
                break
            except _Refused as err:
                if err.code != scard.SCARD_E_SHARING_VIOLATION or time.monotonic() > give_up_at:
                    raise _fault(context, arrival, err) from None
                self._stopping.wait(0.1)
        today = self._clock.now().astimezone(CHINA).date()
        reading = resident.parse(chip.record, reader_module=chip.module or arrival.reader[:64], today=today)
        portrait = photo.decode(chip.photo)
        if portrait is None:
            log.warning("card.no-decoder", format=photo.recognise(chip.photo), bytes=len(chip.photo))
        return Document(reading.holder, reading.facts, portrait)


def _fault(context: _Context, arrival: Arrival, err: _Refused) -> CardFault:
    """Say what a refused call means for the visitor.

    Raises:
        _Refused: the service has gone.
    """
    if err.code in _SERVICE_GONE:
        raise err
    if err.code in _READER_GONE:
        return ReaderAbsent(f"The reader was unplugged while it read: {err}")
    if err.code in _CARD_MUTE:
        return UnknownCard(f"The card does not answer the reader: {err}")
    if err.code == scard.SCARD_E_SHARING_VIOLATION:
        return ReaderStuck(f"Another program holds the card for {_SHARING_S} s and more: {err}")
    if err.code in _CARD_GONE or _has_left(context, arrival):
        return CardLifted(f"The card left while it was read: {err}")
    return DamagedCard(f"The card does not answer as it should: {err}")


def _has_left(context: _Context, arrival: Arrival) -> bool:
    """Say whether the card leaves; a failed transmit comes before pcscd's own notice of it."""
    known = {arrival.reader: scard.SCARD_STATE_UNAWARE}
    until = time.monotonic() + _LEAVING_S
    while (left_s := until - time.monotonic()) > 0:
        known = context.wait(known, left_s)
        state = known[arrival.reader]
        if not _lies_there(state) or state >> 16 != arrival.count:
            return True
    return False


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)

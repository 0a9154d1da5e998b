"""A virtual card: plays a reader with security module and the resident card on it, to a real pcscd through vpcd.

It speaks vpcd's protocol (every message ``length of two bytes, big-endian | payload``): putting the card down is connecting,
lifting it is closing. Faults come on command. For demo, training and tests only: vpcd lets anyone on the network insert a card.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from system.simulate.people import WLT_FILLER

MODULE: Final = bytes.fromhex("05000300 E3AF3401 87D61200 B168DE3A")
"""The virtual module's number, written ``05.03-20230115-001234567-987654321``."""

MODULE_COMMAND: Final = bytes.fromhex("FF12FF0000")
"""What the virtual reader answers with its module's number: the module's own command 12 FF as instruction and P1."""

_PAGE_BYTES: Final = 256
_READ_PAGE: Final = b"\xff\xb0"
_DONE, _NO_SUCH_PAGE, _NO_SUCH_COMMAND = b"\x90\x00", b"\x6a\x82", b"\x6d\x00"
_GET_ATR: Final = b"\x04"


def _atr(standard: int, card_name: bytes) -> bytes:
    """Return the ATR of a storage card (PC/SC part 3, 3.1.3.2.3.1): the standard it follows and its two-byte name."""
    body = bytes.fromhex("8F8001804F0CA000000306") + bytes([standard]) + card_name + bytes(4)
    check = 0
    for byte in body:
        check ^= byte
    return b"\x3b" + body + bytes([check])


READABLE: Final = _atr(0x07, b"\x90\x00")
"""A type B card that the reader's module has opened: ``90 00`` where the card's name stands."""

OTHER: Final = _atr(0x03, b"\x00\x01")
"""Another card: a 1 KB memory card of type A, as transport tickets are."""


class FaultKind(StrEnum):
    """What can go wrong with a card."""

    LIFTED_AT = "lifted-at"
    LIFTED_AFTER_PAGE = "lifted-after-page"
    TRUNCATED_PAGE = "truncated-page"
    CORRUPTED_PAGE = "corrupted-page"
    SILENT_AT_PAGE = "silent-at-page"
    UNKNOWN_FLAG = "unknown-flag"
    UNKNOWN_CARD = "unknown-card"
    WLT_PORTRAIT = "wlt-portrait"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault on command.

    Attributes:
        kind: what goes wrong.
        at: milliseconds after it was put down for `LIFTED_AT`, the page for those that name one; else 0.
    """

    kind: FaultKind
    at: int = 0

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read a fault as it is typed, for instance ``lifted-at:600`` or ``unknown-card``.

        Raises:
            ValueError: no such fault, or no number after the colon.
        """
        kind, _, at = text.partition(":")
        return cls(FaultKind(kind), int(at or 0))


@dataclass(frozen=True, slots=True)
class Content:
    """What the chip holds: text record and portrait as stored."""

    record: bytes = field(repr=False)
    portrait: bytes = field(repr=False)


class NoReader(Exception):
    """There is no virtual reader to put the card on."""


class VirtualCard:
    """A card in somebody's hand. May be put down and lifted again and again, from any one thread."""

    def __init__(self, content: Content, *, port: int, fault: Fault | None = None) -> None:
        """Make a card.

        Args:
            content: what its chip holds.
            port: where vpcd waits for a card, on this machine.
            fault: what goes wrong each time it is put down.
        """
        if fault is not None:
            content = _spoilt(content, fault.kind)
        self._held = len(content.record).to_bytes(2) + len(content.portrait).to_bytes(2) + content.record + content.portrait
        self._atr = OTHER if fault is not None and fault.kind is FaultKind.UNKNOWN_CARD else READABLE
        self._port = port
        self._fault = fault
        self._line: socket.socket | None = None
        self._player: threading.Thread | None = None

    @property
    def is_down(self) -> bool:
        """Whether it lies on the reader; a fault may have lifted it."""
        return self._player is not None and self._player.is_alive()

    def put_down(self) -> None:
        """Put it on the reader.

        Raises:
            NoReader: nothing waits for a card on the port.
            RuntimeError: it lies there already.
        """
        if self.is_down:
            raise RuntimeError("the card lies on the reader already")
        self.lift()
        try:
            self._line = socket.create_connection(("127.0.0.1", self._port), timeout=2)
        except OSError as err:
            raise NoReader(f"no virtual reader waits for a card on port {self._port}: {err.strerror}. Is pcscd running?") from err
        self._player = threading.Thread(target=self._play, args=(self._line,), name="virtual-card", daemon=True)
        self._player.start()

    def lift(self) -> None:
        """Take it away; nothing happens if it does not lie there."""
        if self._line is not None and self._player is not None:
            with contextlib.suppress(OSError):  # the reader, or a fault, may have hung up first
                self._line.shutdown(socket.SHUT_RDWR)
            self._player.join()
        self._line = self._player = None

    @contextlib.contextmanager
    def down(self) -> Iterator[None]:
        """Put it down for the block."""
        self.put_down()
        try:
            yield
        finally:
            self.lift()

    def _play(self, line: socket.socket) -> None:
        """Answer the reader until the line is closed or a fault lifts the card."""
        until = time.monotonic() + self._fault.at / 1000 if self._fault and self._fault.kind is FaultKind.LIFTED_AT else None
        with line, contextlib.suppress(OSError, EOFError):
            while True:
                asked = _receive(line, int.from_bytes(_receive(line, 2, until)), until)
                if asked == _GET_ATR:
                    _send(line, self._atr)
                elif len(asked) > 1:  # a command; power on, power off and reset are not answered
                    if self._is_now(FaultKind.SILENT_AT_PAGE, asked):
                        continue
                    _send(line, self._answer(asked))
                    if self._is_now(FaultKind.LIFTED_AFTER_PAGE, asked):
                        return

    def _is_now(self, kind: FaultKind, command: bytes) -> bool:
        return self._fault == Fault(kind, command[2]) and command.startswith(_READ_PAGE)

    def _answer(self, command: bytes) -> bytes:
        if command == MODULE_COMMAND:
            return MODULE + _DONE
        if not command.startswith(_READ_PAGE) or self._atr != READABLE:
            return _NO_SUCH_COMMAND
        page = self._held[command[2] * _PAGE_BYTES :][:_PAGE_BYTES]
        if self._is_now(FaultKind.TRUNCATED_PAGE, command):
            page = page[: len(page) // 2]
        if self._is_now(FaultKind.CORRUPTED_PAGE, command):
            page = bytes(byte ^ 0x5A for byte in page)
        return page + _DONE if page else _NO_SUCH_PAGE


def _spoilt(content: Content, kind: FaultKind) -> Content:
    """Return the content as a fault that lies in it makes it."""
    if kind is FaultKind.UNKNOWN_FLAG:
        return Content(content.record[:248] + "Z".encode("utf-16-le") + content.record[250:], content.portrait)
    if kind is FaultKind.WLT_PORTRAIT:
        return Content(content.record, WLT_FILLER)
    return content


def _receive(line: socket.socket, size: int, until: float | None) -> bytes:
    """Return exactly `size` bytes.

    Raises:
        EOFError: the line was closed.
        TimeoutError: `until` (monotonic seconds) has come.
    """
    got = b""
    while len(got) < size:
        # vpcd sends length and payload apart; without this each command waits 44 ms for a delayed acknowledgement (measured)
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        line.settimeout(None if until is None else max(0.001, until - time.monotonic()))
        piece = line.recv(size - len(got))
        if not piece:
            raise EOFError
        got += piece
    return got


def _send(line: socket.socket, payload: bytes) -> None:
    line.sendall(len(payload).to_bytes(2) + payload)

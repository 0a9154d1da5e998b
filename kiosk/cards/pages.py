"""The page protocol: a reader with a security module offers what the chip holds as pages of a storage card.

``FF B0 pp 00 00`` returns page `pp`; all pages together are ``text length | photo length | text | photo``, lengths of two bytes,
big-endian. The lengths rule, never constants. Fingerprints are not part of these pages and are never asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kiosk.cards.reader import DamagedCard, UnknownCard
from kiosk.cards.resident import RECORD_BYTES

Transmit = Callable[[bytes], bytes]
"""Sends a command APDU, returns the response with its status word."""

_HEADER_BYTES: Final = 4
_DONE: Final = b"\x90\x00"
_NOT_OFFERED: Final = (b"\x6d\x00", b"\x6e\x00")  # unknown instruction, unknown class (ISO 7816-4)
_MODULE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class PageTable:
    """How one vendor's reader offers the pages.

    Attributes:
        mark: what the ATR of a card that the reader could read holds ...
        mark_at: ... from this byte on, counted from 0.
        cla: class of the read command.
        ins: instruction of the read command; P1 is the page.
        page_bytes: bytes in every page but the last.
        max_photo_bytes: a longer portrait is a broken length field.
        module_command: APDU that returns the module number (16 bytes, GA/T 467); empty where the reader has none, and its name
            stands in the record instead.
    """

    mark: bytes = b"\x90\x00"
    mark_at: int = 13
    cla: int = 0xFF
    ins: int = 0xB0
    page_bytes: int = 256
    max_photo_bytes: int = 16 * 1024
    module_command: bytes = b""

    def __post_init__(self) -> None:
        if _HEADER_BYTES + RECORD_BYTES + self.max_photo_bytes > 256 * self.page_bytes:
            raise ValueError(f"a portrait of {self.max_photo_bytes} bytes does not fit in 256 pages of {self.page_bytes}")


@dataclass(frozen=True, slots=True)
class Chip:
    """What the pages held.

    Attributes:
        record: the text record, 256 bytes; personal.
        photo: the portrait as stored; personal.
        module: number of the security module, "" where the reader does not say.
    """

    record: bytes = field(repr=False)
    photo: bytes = field(repr=False)
    module: str


def read_chip(transmit: Transmit, atr: bytes, table: PageTable) -> Chip:
    """Read everything the reader offers of the card.

    Args:
        transmit: the way to the card; what it raises passes through.
        atr: the card's answer to reset.
        table: the vendor's way.

    Raises:
        UnknownCard: the reader does not say that it could read this card, or offers no pages.
        DamagedCard: a page is missing or short, or the length fields cannot be.
    """
    if atr[table.mark_at : table.mark_at + len(table.mark)] != table.mark:
        raise UnknownCard(f"The ATR has {atr.hex(' ')} and not the mark of a card the reader could read")
    held = _page(transmit, table, 0)
    if len(held) < _HEADER_BYTES:
        raise DamagedCard(f"Page 0 has {len(held)} bytes, too short for the length fields")
    text_bytes, photo_bytes = int.from_bytes(held[:2]), int.from_bytes(held[2:4])
    if text_bytes != RECORD_BYTES or photo_bytes > table.max_photo_bytes:
        raise DamagedCard(f"The length fields say {text_bytes} bytes of text and {photo_bytes} of portrait")
    whole = _HEADER_BYTES + text_bytes + photo_bytes
    for page in range(1, -(-whole // table.page_bytes)):
        if len(held) != page * table.page_bytes:
            raise DamagedCard(f"Page {page - 1} is not {table.page_bytes} bytes long")
        held += _page(transmit, table, page)
    if len(held) < whole:
        raise DamagedCard(f"The pages hold {len(held)} bytes, {whole} were announced")
    photo_at = _HEADER_BYTES + text_bytes
    return Chip(held[_HEADER_BYTES:photo_at], held[photo_at:whole], _module(transmit, table))


def module_number(raw: bytes) -> str:
    """Write a module number as it stands on readers and in audits, for instance ``05.03-20230115-001234567-987654321``.

    Args:
        raw: 16 bytes: type, 0, subtype, 0, then three little-endian numbers (GA/T 467).

    Raises:
        DamagedCard: another length.
    """
    if len(raw) != _MODULE_BYTES:
        raise DamagedCard(f"The module number has {len(raw)} bytes instead of {_MODULE_BYTES}")
    day, batch, serial = (int.from_bytes(raw[at : at + 4], "little") for at in (4, 8, 12))
    return f"{raw[0]:02d}.{raw[2]:02d}-{day}-{batch:09d}-{serial:09d}"


def _module(transmit: Transmit, table: PageTable) -> str:
    if not table.module_command:
        return ""
    answer = transmit(table.module_command)
    if answer[-2:] != _DONE:
        raise DamagedCard(f"The reader answered {answer[-2:].hex()} when asked for its module number")
    return module_number(answer[:-2])


def _page(transmit: Transmit, table: PageTable, page: int) -> bytes:
    answer = transmit(bytes((table.cla, table.ins, page, 0, 0)))
    if answer[-2:] in _NOT_OFFERED:
        raise UnknownCard(f"The reader offers no pages of this card: it answered {answer[-2:].hex()}")
    if answer[-2:] != _DONE:
        raise DamagedCard(f"Page {page} was answered with {answer[-2:].hex() or 'nothing'}")
    return answer[:-2]

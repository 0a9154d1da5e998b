"""The portrait in the chip: told apart by content, decoded by OpenCV; WLT has no open decoder and gives no portrait."""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import cv2
import numpy as np

from kiosk.cards.document import Portrait
from kiosk.cards.reader import DamagedCard

MAX_STORED_BYTES: Final = 64 * 1024
MAX_SIDE_PX: Final = 2048
"""Chip portraits are about 102 x 126, documents' about 300 x 400: more than this is an attack on the memory."""

_WLT_BYTES: Final = 1024
_JPEG_END: Final = b"\xff\xd9"
_CODESTREAM: Final = b"\xff\x4f\xff\x51"
"""Start of a JPEG 2000 codestream: SOC, then the SIZ segment (ISO/IEC 15444-1, A.4 and A.5)."""


class Format(StrEnum):
    """What a stored portrait can be."""

    JPEG = "jpeg"
    JPEG_2000 = "jpeg2000"
    BMP = "bmp"
    WLT = "wlt"
    NOTHING = "nothing"


def recognise(stored: bytes) -> Format:
    """Tell the format by content; WLT is opaque and has no mark to rely on, but always the same size.

    Args:
        stored: the portrait as the chip holds it.

    Raises:
        DamagedCard: none of the known formats.
    """
    if stored.startswith(b"\xff\xd8\xff"):
        return Format.JPEG
    if stored.startswith((_CODESTREAM, b"\0\0\0\x0cjP  \r\n\x87\n")):
        return Format.JPEG_2000
    if stored.startswith(b"BM"):
        return Format.BMP
    if stored.startswith(b"WL") or len(stored) == _WLT_BYTES:
        return Format.WLT
    if not stored:
        return Format.NOTHING
    raise DamagedCard(f"The portrait's {len(stored)} bytes are in no known format")


def decode(stored: bytes) -> Portrait | None:
    """Decode a portrait, or return None where there is none or no decoder for it is at hand (WLT).

    Args:
        stored: the portrait as the chip holds it.

    Raises:
        DamagedCard: in no known format, cut short, broken, or larger than a portrait can be.
    """
    format = recognise(stored)
    if format in (Format.WLT, Format.NOTHING):
        return None
    if len(stored) > MAX_STORED_BYTES:
        raise DamagedCard(f"The {format} portrait has {len(stored)} bytes, more than {MAX_STORED_BYTES}")
    width, height = _size(format, stored)
    if not (0 < width <= MAX_SIDE_PX and 0 < height <= MAX_SIDE_PX):
        raise DamagedCard(f"The {format} portrait says it is {width} x {height} pixels")
    try:
        image = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None  # how OpenCV says no differs from format to format
    if image is None:
        raise DamagedCard(f"The {format} portrait does not decode")
    return Portrait(image.astype(np.uint8, copy=False), f"opencv {cv2.__version__} {format}")


def _size(format: Format, stored: bytes) -> tuple[int, int]:
    """Return width and height in pixels from the header, so that a bomb is refused before it is decoded.

    Raises:
        DamagedCard: the header is broken, or a JPEG lacks its end (libjpeg would fill in grey and not complain).
    """
    try:
        match format:
            case Format.JPEG:
                if not stored.rstrip(b"\0").endswith(_JPEG_END):
                    raise DamagedCard("The jpeg portrait is cut short")
                return _jpeg_size(stored)
            case Format.JPEG_2000:
                siz = stored.index(_CODESTREAM) + 8  # past the two markers, the segment's length and its capabilities
                right, bottom, left, top = (_big_endian(stored, siz + 4 * word, 4) for word in range(4))
                return right - left, bottom - top
            case _:
                width, height = (int.from_bytes(stored[at : at + 4], "little", signed=True) for at in (18, 22))
                return width, abs(height)  # rows top-down have a negative height
    except (IndexError, ValueError):
        raise DamagedCard(f"The {format} portrait's header is broken") from None


def _jpeg_size(stored: bytes) -> tuple[int, int]:
    """Walk the segments to the frame header (ISO/IEC 10918-1, B.2.2).

    Raises:
        IndexError: there is no frame header.
    """
    at = 2
    while True:
        marker = stored[at + 1]
        if stored[at] != 0xFF or marker == 0xDA:
            raise IndexError
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return _big_endian(stored, at + 7, 2), _big_endian(stored, at + 5, 2)
        at += 2 + _big_endian(stored, at + 2, 2)


def _big_endian(stored: bytes, at: int, size: int) -> int:
    """Return the unsigned number at `at`.

    Raises:
        IndexError: the bytes end before it.
    """
    if at + size > len(stored):
        raise IndexError
    return int.from_bytes(stored[at : at + size])

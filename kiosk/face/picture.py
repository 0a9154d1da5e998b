"""Turns a stored picture of any usual kind into what the face match takes, or says why it cannot."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from kiosk.face.given import Image

MAX_STORED_BYTES: Final = 64 * 1024 * 1024

MAX_PIXELS: Final = 50_000_000
"""Telephones take up to 48 million; decoded this is 150 MB."""


class PictureFault(StrEnum):
    """Why a stored picture cannot be used."""

    UNREADABLE = "unreadable"
    EMPTY = "empty"
    TOO_LARGE = "too-large"
    UNKNOWN = "unknown-format"
    DAMAGED = "damaged"


class BadPicture(Exception):
    """A stored picture cannot be used. Names the fault and the size, never the file: its name may be a person's."""

    def __init__(self, fault: PictureFault, text: str) -> None:
        super().__init__(text)
        self.fault = fault


def read(source: Path | bytes) -> Image:
    """Return a stored picture as (height, width, 3) uint8, BGR, upright.

    Grey becomes three equal colours, CMYK and 16 bits become 8 bits of BGR, transparency is dropped, and a picture that says it
    was taken with the camera turned (EXIF) is turned back.

    Args:
        source: a file or its bytes: JPEG, PNG, WebP, BMP, TIFF or JPEG 2000.

    Raises:
        BadPicture: it cannot be read, is empty, too large, of an unknown format, or damaged.
    """
    stored = source if isinstance(source, bytes) else _bytes(source)
    if not stored:
        raise BadPicture(PictureFault.EMPTY, "The picture has no bytes")
    if len(stored) > MAX_STORED_BYTES:
        raise BadPicture(PictureFault.TOO_LARGE, f"The picture has {len(stored)} bytes, more than {MAX_STORED_BYTES}")
    kind, size = _header(stored)
    if kind is None:
        raise BadPicture(PictureFault.UNKNOWN, f"The picture's {len(stored)} bytes are in no known format")
    if size is not None and size[0] * size[1] > MAX_PIXELS:
        text = f"The {kind} picture says it is {size[0]} x {size[1]} pixels, more than {MAX_PIXELS} in all"
        raise BadPicture(PictureFault.TOO_LARGE, text)
    if kind == "JPEG" and b"\xff\xd9" not in stored[-4096:]:  # libjpeg would fill in grey and not complain
        raise BadPicture(PictureFault.DAMAGED, "The JPEG picture is cut short")
    try:
        image = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        image = None  # how OpenCV says no differs from format to format
    if image is None or not image.size:
        raise BadPicture(PictureFault.DAMAGED, f"The {kind} picture does not decode")
    return np.asarray(image, dtype=np.uint8)


def reduced(image: Image, most_bytes: int) -> Image:
    """Return a picture as it is, or reduced so that it takes no more than so many bytes."""
    if image.nbytes <= most_bytes:
        return image
    scale = (most_bytes / image.nbytes) ** 0.5
    # A strip may be too long at one pixel's width, too: then it loses its form as well.
    width = min(max(1, int(image.shape[1] * scale)), most_bytes // 3)
    height = min(max(1, int(image.shape[0] * scale)), most_bytes // (3 * width))
    return np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_STORED_BYTES + 1)
    except OSError as err:
        raise BadPicture(PictureFault.UNREADABLE, f"The picture cannot be read: {err.strerror}") from None


def _header(stored: bytes) -> tuple[str | None, tuple[int, int] | None]:
    """Return what kind of picture it is, and its width and height where they are easily told; told before anything is decoded."""
    if stored.startswith(b"\xff\xd8\xff"):
        return "JPEG", _jpeg_size(stored)
    if stored.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG", (int.from_bytes(stored[16:20]), int.from_bytes(stored[20:24]))
    if stored.startswith(b"BM"):
        width, height = (int.from_bytes(stored[at : at + 4], "little", signed=True) for at in (18, 22))
        return "BMP", (abs(width), abs(height))
    if stored.startswith(b"RIFF") and stored[8:12] == b"WEBP":
        return "WebP", _webp_size(stored)
    if stored.startswith((b"II*\0", b"MM\0*")):
        return "TIFF", None
    if stored.startswith((b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  \r\n\x87\n")):
        return "JPEG 2000", None
    return None, None


def _jpeg_size(stored: bytes) -> tuple[int, int] | None:
    """Walk the segments to the frame header (ISO/IEC 10918-1, B.2.2)."""
    at = 2
    while at + 9 <= len(stored) and stored[at] == 0xFF:
        marker = stored[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(stored[at + 7 : at + 9]), int.from_bytes(stored[at + 5 : at + 7])
        at += 1 if marker == 0xFF else 2 + int.from_bytes(stored[at + 2 : at + 4])
    return None


def _webp_size(stored: bytes) -> tuple[int, int] | None:
    """Read the header of the first chunk (RFC 9649, 2.5 to 2.7)."""
    match stored[12:16]:
        case b"VP8X":
            return int.from_bytes(stored[24:27], "little") + 1, int.from_bytes(stored[27:30], "little") + 1
        case b"VP8L":
            sides = int.from_bytes(stored[21:25], "little")
            return (sides & 0x3FFF) + 1, (sides >> 14 & 0x3FFF) + 1
        case b"VP8 ":
            return int.from_bytes(stored[26:28], "little") & 0x3FFF, int.from_bytes(stored[28:30], "little") & 0x3FFF
        case _:
            return None

"""Which characters a font file has, read from its character map (OpenType `cmap`, formats 4 and 12)."""

from __future__ import annotations

import struct


def covered(font: bytes) -> set[int]:
    """Return the code points of the first face of a font or collection."""
    start = struct.unpack_from(">I", font, 12)[0] if font[:4] == b"ttcf" else 0
    (tables,) = struct.unpack_from(">H", font, start + 4)
    for index in range(tables):
        tag, _, at, _ = struct.unpack_from(">4sIII", font, start + 12 + 16 * index)
        if tag == b"cmap":
            return _cmap(font, at)
    raise ValueError("no character map")


def _cmap(font: bytes, at: int) -> set[int]:
    found: set[int] = set()
    (count,) = struct.unpack_from(">H", font, at + 2)
    for index in range(count):
        _, _, offset = struct.unpack_from(">HHI", font, at + 4 + 8 * index)
        table = at + offset
        (form,) = struct.unpack_from(">H", font, table)
        if form == 12:
            (groups,) = struct.unpack_from(">I", font, table + 12)
            for group in range(groups):
                first, last, _ = struct.unpack_from(">III", font, table + 16 + 12 * group)
                found.update(range(first, last + 1))
        elif form == 4:
            (double,) = struct.unpack_from(">H", font, table + 6)
            ends = struct.unpack_from(f">{double // 2}H", font, table + 14)
            starts = struct.unpack_from(f">{double // 2}H", font, table + 16 + double)
            for first, last in zip(starts, ends, strict=True):
                found.update(range(first, min(last, 0xFFFE) + 1))
    return found

"""dlib's serialisation, value by value: whole numbers, floats, texts, tensors. Nothing here knows what a network is.

Source: the format of dlib 19 and 20 as its ``serialize`` functions write it, found from the files and checked byte by byte.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_LENGTH: Final = 0x0F
_SIGN: Final = 0x80
_TENSOR_VERSION: Final = 2
_ALIAS_VERSION: Final = 1


class NotDlib(Exception):
    """The bytes are not what dlib writes for such a file. The text says where and what was expected."""


@dataclass(frozen=True, slots=True)
class Alias:
    """A window into a layer's parameters.

    Attributes:
        shape: samples, channels, rows, columns.
    """

    shape: tuple[int, int, int, int]

    @property
    def size(self) -> int:
        """Number of parameters the window covers."""
        samples, channels, rows, columns = self.shape
        return samples * channels * rows * columns


class Stream:
    """The bytes of one file and how far they have been read."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def integer(self) -> int:
        """Read a whole number: one byte with its length and sign, then that many bytes, little-endian.

        Raises:
            NotDlib: no such number stands here.
        """
        head = self._take(1)[0]
        if head & ~(_LENGTH | _SIGN) or head & _LENGTH > 8:
            raise NotDlib(f"a whole number cannot begin with byte {head:#04x} (at {self._at - 1})")
        value = int.from_bytes(self._take(head & _LENGTH), "little")
        return -value if head & _SIGN else value

    def number(self) -> float:
        """Read a float, written as two whole numbers: mantissa and power of two."""
        mantissa, power = self.integers(2)
        try:
            return math.ldexp(mantissa, power)
        except OverflowError as err:
            raise NotDlib(f"a float {mantissa} x 2^{power} (at {self._at})") from err

    def integers(self, count: int) -> tuple[int, ...]:
        """Read `count` whole numbers."""
        return tuple(self.integer() for _ in range(count))

    def numbers(self, count: int) -> tuple[float, ...]:
        """Read `count` floats."""
        return tuple(self.number() for _ in range(count))

    def flag(self) -> bool:
        """Read a truth value, written as the character 0 or 1."""
        match self._take(1):
            case b"0":
                return False
            case b"1":
                return True
            case other:
                raise NotDlib(f"a truth value cannot be {other!r} (at {self._at - 1})")

    def text(self) -> str:
        """Read a text: its length, then its bytes."""
        length = self.integer()
        if not 0 <= length <= 64:
            raise NotDlib(f"a name of {length} bytes (at {self._at})")
        return self._take(length).decode("ascii", "replace")

    def expect(self, what: str, *values: int) -> int:
        """Read a whole number that must be one of `values`, such as a version."""
        value = self.integer()
        if value not in values:
            raise NotDlib(f"{what} is {value}, known are {values} (at {self._at})")
        return value

    def tensor(self) -> NDArray[np.float32]:
        """Read a tensor: four sizes, then plain little-endian floats. Returned with its four axes."""
        self.expect("version of a tensor", _TENSOR_VERSION)
        shape = self._shape()
        raw = self._take(4 * math.prod(shape))
        return np.frombuffer(raw, dtype="<f4").reshape(shape).astype(np.float32)

    def alias(self) -> Alias:
        """Read a window into parameters: four sizes."""
        self.expect("version of an alias", _ALIAS_VERSION)
        return Alias(self._shape())

    def integers_to_the_end(self) -> NDArray[np.int64]:
        """Read everything that is left as whole numbers, about ten times as fast as one by one.

        Raises:
            NotDlib: the last one is cut short, or something else stands between them.
        """
        rest = np.frombuffer(self._data, dtype=np.uint8, offset=self._at)
        heads = []
        at = 0
        data = memoryview(self._data)[self._at :]
        while at < len(data):
            heads.append(at)
            at += 1 + (data[at] & _LENGTH)
        if at != len(data):
            raise NotDlib("the file ends within a whole number")
        starts = np.array(heads, dtype=np.int64)
        lengths = (rest[starts] & _LENGTH).astype(np.int64)
        if np.any(rest[starts] & ~np.uint8(_LENGTH | _SIGN)) or np.any(lengths > 7):
            raise NotDlib("something other than whole numbers stands in the file")
        values = np.zeros(len(starts), dtype=np.int64)
        for byte in range(int(lengths.max(initial=0))):
            has = lengths > byte
            values[has] |= rest[starts[has] + 1 + byte].astype(np.int64) << (8 * byte)
        values[(rest[starts] & _SIGN) != 0] *= -1
        self._at = len(self._data)
        return values

    def finish(self) -> None:
        """Say that everything has been read.

        Raises:
            NotDlib: bytes are left over, so the file is not what it was taken for.
        """
        if self._at != len(self._data):
            raise NotDlib(f"{len(self._data) - self._at} bytes are left over")

    def _shape(self) -> tuple[int, int, int, int]:
        samples, channels, rows, columns = self.integers(4)
        if min(samples, channels, rows, columns) < 0:
            raise NotDlib(f"a tensor with a negative size (at {self._at})")
        return samples, channels, rows, columns

    def _take(self, count: int) -> bytes:
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise NotDlib(f"the file ends at {len(self._data)}, {count} more bytes were expected at {self._at}")
        self._at += count
        return taken

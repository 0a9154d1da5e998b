from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.build.stream import NotDlib, Stream


def written(value: int) -> bytes:
    """A whole number as dlib writes it."""
    length = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([length | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(length, "little")


@given(st.integers(-(2**62), 2**62))
def test_ok__a_whole_number_is_read_as_written(value: int) -> None:
    stream = Stream(written(value))
    assert stream.integer() == value
    stream.finish()


@given(st.lists(st.integers(-(2**55), 2**55)))
def test_ok__many_whole_numbers_read_at_once_are_those_read_one_by_one(values: list[int]) -> None:
    data = b"".join(map(written, values))
    stream = Stream(data)
    assert stream.integers_to_the_end().tolist() == values == list(Stream(data).integers(len(values)))
    stream.finish()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_ok__a_float_is_mantissa_and_power_of_two(value: float) -> None:
    mantissa, power = math.frexp(value)
    assert Stream(written(int(mantissa * 2**24)) + written(power - 24)).number() == value


def test_ok__a_tensor_has_its_four_axes() -> None:
    values = np.arange(6, dtype="<f4")
    stream = Stream(b"".join(map(written, (2, 1, 2, 3, 1))) + values.tobytes())
    assert np.array_equal(stream.tensor(), values.reshape(1, 2, 3, 1))
    stream.finish()


@pytest.mark.parametrize(
    ("what", "data"),
    [
        ("integer", b""),
        ("integer", b"\x04\x01"),
        ("integer", b"\x0c" + bytes(12)),
        ("integer", b"\x41\x01"),
        ("flag", b"2"),
        ("text", b"\x02\xff\x7f"),
        ("text", b"\x01\x05abc"),
        ("tensor", written(1) + written(0) * 4),
        ("tensor", written(2) + written(1) * 4 + b"\0\0\0"),
        ("tensor", written(2) + written(-1) * 4),
        ("alias", written(2) + written(1) * 4),
        ("integers_to_the_end", b"\x01"),
        ("integers_to_the_end", b"\x71" + bytes(1)),
    ],
)
def test_fail__bytes_that_dlib_does_not_write_are_refused(what: str, data: bytes) -> None:
    with pytest.raises(NotDlib):
        getattr(Stream(data), what)()


def test_fail__bytes_left_over_are_refused() -> None:
    stream = Stream(written(5) + b"\x00")
    assert stream.integer() == 5
    with pytest.raises(NotDlib, match="1 bytes are left over"):
        stream.finish()

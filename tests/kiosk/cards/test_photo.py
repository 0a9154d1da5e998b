"""Portraits: what is decoded, what has no decoder, what is refused before it can do harm."""

from __future__ import annotations

import contextlib

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from kiosk.cards import photo
from kiosk.cards.reader import CardFault, DamagedCard


def picture(width: int = 102, height: int = 126) -> NDArray[np.uint8]:
    """Return a picture with a gradient in each direction, (height, width, 3) uint8."""
    down, across = np.mgrid[0:height, 0:width]
    return np.dstack([across * 2, down, across + down]).astype(np.uint8)


def stored(extension: str, image: NDArray[np.uint8]) -> bytes:
    done, raw = cv2.imencode(extension, image)
    assert done
    return raw.tobytes()


@pytest.mark.parametrize(("extension", "format"), [(".jpg", "jpeg"), (".jp2", "jpeg2000"), (".bmp", "bmp")])
def test_ok__a_portrait_in_an_open_format_is_decoded_by_content(extension: str, format: str) -> None:
    portrait = photo.decode(stored(extension, picture()))
    assert portrait is not None
    assert portrait.image.shape == (126, 102, 3) and portrait.image.dtype == np.uint8
    assert np.abs(portrait.image.astype(int) - picture()).mean() < 4
    assert portrait.decoder == f"opencv {cv2.__version__} {format}"


def test_ok__a_bare_jpeg_2000_codestream_is_decoded() -> None:
    boxed = stored(".jp2", picture())
    portrait = photo.decode(boxed[boxed.index(b"\xff\x4f\xff\x51") :])
    assert portrait is not None and portrait.image.shape == (126, 102, 3)


def test_ok__a_jpeg_may_be_padded_to_the_size_of_its_field() -> None:
    assert photo.decode(stored(".jpg", picture()) + bytes(100)) is not None


@pytest.mark.parametrize("raw", [b"WL" + bytes(1022), bytes(range(256)) * 4])
def test_ok__wlt_is_recognised_and_has_no_decoder(raw: bytes) -> None:
    assert photo.recognise(raw) is photo.Format.WLT
    assert photo.decode(raw) is None


def test_ok__a_card_without_a_portrait_has_none() -> None:
    assert photo.recognise(b"") is photo.Format.NOTHING
    assert photo.decode(b"") is None


@pytest.mark.parametrize("extension", [".jpg", ".jp2"])
def test_fail__a_portrait_larger_than_one_can_be_is_refused_unread(extension: str) -> None:
    def flat(height: int) -> bytes:
        return stored(extension, np.zeros((height, 64, 3), np.uint8))

    assert photo.decode(flat(photo.MAX_SIDE_PX)) is not None
    with pytest.raises(DamagedCard, match="64 x 2049 pixels"):
        photo.decode(flat(photo.MAX_SIDE_PX + 1))


def test_fail__a_bitmap_that_says_it_is_huge_is_refused_unread() -> None:
    small = stored(".bmp", picture())
    with pytest.raises(DamagedCard, match="102 x 100000 pixels"):
        photo.decode(small[:22] + (-100_000).to_bytes(4, "little", signed=True) + small[26:])


def test_fail__more_bytes_than_a_portrait_can_have_are_refused_unread() -> None:
    with pytest.raises(DamagedCard, match="bytes"):
        photo.decode(stored(".jpg", picture()) + bytes(photo.MAX_STORED_BYTES))


@pytest.mark.parametrize("keep", [4, 30, 300, 0.5, 0.99])
def test_fail__a_jpeg_cut_short_is_not_filled_with_grey(keep: float) -> None:
    whole = stored(".jpg", picture())
    with pytest.raises(DamagedCard):
        photo.decode(whole[: int(keep * len(whole)) if keep < 1 else int(keep)])


@pytest.mark.parametrize(("start", "keep"), [(b"BM", 20), (b"\xff\x4f\xff\x51", 12), (b"\xff\xd8\xff", 0)])
def test_fail__a_header_alone_is_no_portrait(start: bytes, keep: int) -> None:
    with pytest.raises(DamagedCard):
        photo.decode(start + bytes(keep) + b"\xff\xd9")


def test_fail__bytes_in_no_known_format_are_refused() -> None:
    with pytest.raises(DamagedCard, match="no known format"):
        photo.decode(b"GIF89a" + bytes(50))


@given(st.sampled_from([b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"BM", b"WL", b""]), st.binary(max_size=200))
def test_noise_raises_nothing_but_card_faults(start: bytes, noise: bytes) -> None:
    with contextlib.suppress(CardFault):
        photo.decode(start + noise + b"\xff\xd9")


@pytest.mark.parametrize(
    "stored_bytes",
    [
        bytes.fromhex("FFD8 FFC0 000B 08 000A 000A 01 011100 FFD9"),  # a frame header, but no scan
        bytes.fromhex("FFD8 FFDA 0008 01 0100 003F00 FFD9"),  # a scan before any frame header
        bytes.fromhex("FF4F FF51 0029 0000 0000000A 0000000A 00000000 00000000") + bytes(40),  # a size, but no tiles
    ],
)
def test_fail__a_portrait_whose_inside_is_missing_does_not_decode(stored_bytes: bytes) -> None:
    with pytest.raises(DamagedCard):
        photo.decode(stored_bytes)

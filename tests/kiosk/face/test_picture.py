"""Stored pictures of every kind somebody may bring, and pictures of sizes nobody expects: each is taken or refused by name."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow

from kiosk.face.matcher import Matcher
from kiosk.face.picture import MAX_PIXELS, BadPicture, PictureFault, read, reduced
from kiosk.face.result import QualityCause
from sync_agent.contract.kinds import Condition
from system.simulate.film import portrait_of

Image = NDArray[np.uint8]


def stored(image: Pillow.Image, format: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


@pytest.fixture(scope="module")
def portrait() -> Image:
    return np.ascontiguousarray(cv2.resize(portrait_of("right"), (306, 378), interpolation=cv2.INTER_AREA))


def pillow(portrait: Image) -> Pillow.Image:
    return Pillow.fromarray(np.ascontiguousarray(portrait[..., ::-1]))


def kinds(portrait: Image) -> dict[str, bytes]:
    plain = pillow(portrait)
    turned = plain.transpose(Pillow.Transpose.ROTATE_90)  # as a telephone on its side stores it
    exif = Pillow.Exif()
    exif[0x0112] = 6
    deep = cv2.imencode(".png", portrait.astype(np.uint16) * 257)[1].tobytes()
    clear = plain.convert("RGBA")
    clear.putalpha(Pillow.new("L", plain.size, 200))
    return {
        "jpeg": stored(plain, "JPEG", quality=95),
        "grey jpeg": stored(plain.convert("L"), "JPEG", quality=95),
        "grey png": stored(plain.convert("L"), "PNG"),
        "cmyk jpeg": stored(plain.convert("CMYK"), "JPEG", quality=95),
        "palette png": stored(plain.convert("P"), "PNG"),
        "jpeg turned by exif": stored(turned, "JPEG", quality=95, exif=exif),
        "16-bit png": deep,
        "png with alpha": stored(clear, "PNG"),
        "webp": stored(plain, "WEBP", quality=95),
        "bmp": stored(plain, "BMP"),
        "tiff": stored(plain, "TIFF"),
        "jpeg 2000": stored(plain, "JPEG2000"),
    }


def test_ok__a_picture_of_any_usual_kind_is_the_same_face(matcher: Matcher, portrait: Image) -> None:
    assert matcher.refer(portrait, Condition.DOCUMENT) is None
    assert matcher._reference is not None
    for kind, data in kinds(portrait).items():
        image = read(data)
        assert image.shape == portrait.shape, kind
        assert image.dtype == np.uint8, kind
        alike = matcher._recogniser.reference(image, Condition.DOCUMENT)
        assert not isinstance(alike, QualityCause), kind
        assert matcher._reference.plain(alike) < 0.25, kind
    upside = matcher._recogniser.reference(np.ascontiguousarray(portrait[::-1]), Condition.DOCUMENT)
    assert isinstance(upside, QualityCause) or matcher._reference.plain(upside) > 0.4  # the control


@pytest.mark.parametrize(
    ("damage", "fault"),
    [
        (lambda jpeg: b"", PictureFault.EMPTY),
        (lambda jpeg: jpeg[: len(jpeg) // 2], PictureFault.DAMAGED),
        (lambda jpeg: jpeg[:3] + bytes(200) + b"\xff\xd9", PictureFault.DAMAGED),
        (lambda jpeg: b"\x89PNG\r\n\x1a\n" + jpeg[8:400], PictureFault.DAMAGED),
        (lambda jpeg: b"GIF89a" + bytes(100), PictureFault.UNKNOWN),
        (lambda jpeg: b"not a picture", PictureFault.UNKNOWN),
    ],
)
def test_fail__a_picture_that_is_none_says_why(portrait: Image, damage: object, fault: PictureFault) -> None:
    jpeg = stored(pillow(portrait), "JPEG")
    assert read(jpeg).shape == portrait.shape  # the control
    assert callable(damage)
    with pytest.raises(BadPicture) as caught:
        read(damage(jpeg))
    assert caught.value.fault is fault or damage(jpeg)[:4] == b"\x89PNG"


def test_a_picture_of_10_000_pixels_a_side_is_refused_before_it_is_decoded_and_a_long_strip_is_not() -> None:
    huge = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIHDR" + (10_000).to_bytes(4) + (10_000).to_bytes(4) + bytes(40)
    with pytest.raises(BadPicture, match="10000 x 10000") as caught:
        read(huge)
    assert caught.value.fault is PictureFault.TOO_LARGE
    strip = cv2.imencode(".png", np.zeros((10, 10_000, 3), dtype=np.uint8))[1].tobytes()
    assert read(strip).shape == (10, 10_000, 3)


def test_a_jpeg_header_that_promises_too_much_is_refused(portrait: Image) -> None:
    jpeg = bytearray(stored(pillow(portrait), "JPEG"))
    at = jpeg.index(b"\xff\xc0")
    jpeg[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    with pytest.raises(BadPicture, match=f"more than {MAX_PIXELS}"):
        read(bytes(jpeg))


@pytest.mark.parametrize(
    ("form", "at", "side"),
    [(b"VP8 ", 26, b"\xff\x3f\xff\x3f"), (b"VP8L", 21, b"\xff\xff\xff\x0f"), (b"VP8X", 24, b"\xfe\x3f\0\xfe\x3f\0")],
)
def test_a_webp_header_that_promises_too_much_is_refused(portrait: Image, form: bytes, at: int, side: bytes) -> None:
    picture = pillow(portrait)
    if form == b"VP8X":
        picture.putalpha(Pillow.new("L", picture.size, 200))
    webp = stored(picture, "WEBP", lossless=form == b"VP8L")
    assert webp[12:16] == form
    assert read(webp).shape == portrait.shape  # the control
    with pytest.raises(BadPicture, match=f"1638[34] x 1638[34] pixels, more than {MAX_PIXELS}"):
        read(webp[:at] + side + webp[at + len(side) :])


def test_a_file_that_cannot_be_read_says_why_without_its_name(tmp_path: Path) -> None:
    with pytest.raises(BadPicture, match="No such file") as caught:
        read(tmp_path / "somebody.jpg")
    assert caught.value.fault is PictureFault.UNREADABLE
    assert "somebody" not in str(caught.value)


@pytest.mark.parametrize("shape", [(1, 1), (1, 10_000), (10_000, 2), (3, 5), (126, 102), (2000, 2000)])
@pytest.mark.parametrize("condition", list(Condition))
def test_a_portrait_of_any_size_without_a_face_is_no_face(matcher: Matcher, shape: tuple[int, int], condition: Condition) -> None:
    assert matcher.refer(np.full((*shape, 3), 128, dtype=np.uint8), condition) is QualityCause.NO_FACE


@pytest.mark.parametrize("shape", [(1, 1), (1, 640), (480, 1), (31, 17), (1080, 1920)])
def test_a_frame_of_any_size_is_judged(matcher: Matcher, shape: tuple[int, int]) -> None:
    assert matcher.look(1, np.full((*shape, 3), 128, dtype=np.uint8)).cause is QualityCause.NO_FACE


def test_a_large_portrait_is_reduced_to_what_the_worker_takes_and_still_that_face(matcher: Matcher, portrait: Image) -> None:
    large = np.asarray(cv2.resize(portrait, None, fx=7, fy=7, interpolation=cv2.INTER_CUBIC), dtype=np.uint8)
    small = reduced(large, 1920 * 1080 * 3)
    assert small.nbytes <= 1920 * 1080 * 3 < large.nbytes
    assert reduced(small, 1920 * 1080 * 3) is small
    assert reduced(np.zeros((1, 10_000_000, 3), dtype=np.uint8), 3000).nbytes <= 3000
    assert matcher.refer(portrait, Condition.DOCUMENT) is None
    alike = matcher._recogniser.reference(small, Condition.DOCUMENT)
    assert matcher._reference is not None
    assert not isinstance(alike, QualityCause)
    assert matcher._reference.plain(alike) < 0.15

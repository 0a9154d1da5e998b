from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.cards.document import Portrait
from kiosk.face.matcher import Matcher
from models.load import Pack
from system.simulate.film import make_films, portrait_of
from system.simulate.people import chip_portrait
from tests.models.packs import dlib_detector as dlib_detector
from tests.models.packs import dlib_landmarks as dlib_landmarks
from tests.models.packs import pack as pack

Image = NDArray[np.uint8]


class Chip(Protocol):
    def __call__(self, who: str) -> Portrait: ...


@pytest.fixture(scope="session")
def loaded(pack: Pack) -> Matcher:
    """One matcher for all tests: loading takes a tenth of a second."""
    return Matcher(pack, threads=2)


@pytest.fixture
def matcher(loaded: Matcher) -> Iterator[Matcher]:
    """The matcher, knowing nobody."""
    yield loaded
    loaded.forget()


@pytest.fixture(scope="session")
def films() -> Path:
    """The films, made once and kept."""
    folder = Path(__file__).parents[3] / ".cache" / "films"
    make_films(folder)
    return folder


@pytest.fixture(scope="session")
def chip() -> Chip:
    """Portraits as a card's chip holds them: 102 x 126 pixels, about 2 kB."""

    def of(who: str) -> Portrait:
        return Portrait(decoded(chip_portrait(portrait_of(who))), "jpeg")

    return of


def decoded(jpeg: bytes) -> Image:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, dtype=np.uint8), cv2.IMREAD_COLOR), dtype=np.uint8)


def frames(film: Path, count: int) -> list[Image]:
    """The first frames of a film."""
    capture = cv2.VideoCapture(str(film))
    try:
        return [np.asarray(capture.read()[1], dtype=np.uint8) for _ in range(count)]
    finally:
        capture.release()

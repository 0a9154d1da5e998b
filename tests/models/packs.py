"""The dlib pack, its weights made once and kept, and dlib itself as the peer. For tests of `models` and of `kiosk.face`."""

from __future__ import annotations

from typing import Any, Literal

import dlib
import pytest

from models.build.pack import build, source_path
from models.load import Pack
from models.shelf import Shelf
from models.spec import Dlib5Spec, DlibChipSpec, MmodSpec, PackageSource

Part = Literal["detector", "landmarks", "embedder"]
PARTS: tuple[Part, ...] = ("detector", "landmarks", "embedder")


@pytest.fixture(scope="session")
def pack() -> Pack:
    """The default pack, ready to use."""
    opened = Shelf().open("dlib")
    build(opened)
    return opened


@pytest.fixture(scope="session")
def dlib_embedder(pack: Pack) -> Any:
    """dlib's own embedder on the published weights."""
    return dlib.face_recognition_model_v1(published_file(pack, "embedder"))


@pytest.fixture(scope="session")
def dlib_detector(pack: Pack) -> Any:
    """dlib's own detector on the published weights."""
    return dlib.cnn_face_detection_model_v1(published_file(pack, "detector"))


@pytest.fixture(scope="session")
def dlib_landmarks(pack: Pack) -> Any:
    """dlib's own five points on the published weights."""
    return dlib.shape_predictor(published_file(pack, "landmarks"))


def published(pack: Pack, part: Part) -> PackageSource:
    """The published file that a part of the pack is made from."""
    source = dict(zip(PARTS, pack.spec.weights, strict=True))[part].source
    assert isinstance(source, PackageSource)
    return source


def published_file(pack: Pack, part: Part) -> str:
    return str(source_path(published(pack, part)))


def mmod(pack: Pack) -> MmodSpec:
    """The detector of the default pack."""
    assert isinstance(pack.spec.detector, MmodSpec)
    return pack.spec.detector


def five_points(pack: Pack) -> Dlib5Spec:
    """The landmarks of the default pack."""
    assert isinstance(pack.spec.landmarks, Dlib5Spec)
    return pack.spec.landmarks


def cut(pack: Pack) -> DlibChipSpec:
    """The alignment of the default pack."""
    assert isinstance(pack.spec.alignment, DlibChipSpec)
    return pack.spec.alignment

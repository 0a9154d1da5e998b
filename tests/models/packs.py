"""The dlib pack, its weights made once and kept, and dlib itself as the peer. For tests of `models` and of `kiosk.face`."""

from __future__ import annotations

from typing import Any

import dlib
import pytest

from models.build.pack import build, source_path
from models.load import Pack, WeightsSpec, load


@pytest.fixture(scope="session")
def pack() -> Pack:
    """The default pack, ready to use."""
    opened = load("dlib")
    build(opened)
    return opened


@pytest.fixture(scope="session")
def dlib_embedder(pack: Pack) -> Any:
    """dlib's own embedder on the published weights."""
    return dlib.face_recognition_model_v1(_file(pack, pack.spec.embedder.weights))


@pytest.fixture(scope="session")
def dlib_detector(pack: Pack) -> Any:
    """dlib's own detector on the published weights."""
    return dlib.cnn_face_detection_model_v1(_file(pack, pack.spec.detector.weights))


@pytest.fixture(scope="session")
def dlib_landmarks(pack: Pack) -> Any:
    """dlib's own five points on the published weights."""
    return dlib.shape_predictor(_file(pack, pack.spec.landmarks.weights))


def _file(pack: Pack, weights: WeightsSpec) -> str:
    return str(source_path(pack.spec.source, weights))

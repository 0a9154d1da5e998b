"""A pack whose hash names a file that no runtime can use: refused by name where it is opened, never a crash."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from kiosk.face.recogniser import Recogniser
from models.load import BadPack, Pack
from tests.models.graphs import UNUSABLE, graph


@pytest.fixture
def with_embedder(pack: Pack, tmp_path: Path) -> Callable[[bytes], Pack]:
    """The default pack with another file as its embedder, rightly named by its hash."""

    def made(data: bytes) -> Pack:
        folder = shutil.copytree(pack.folder, tmp_path / "weights")
        embedder = pack.spec.embedder
        weights = embedder.weights.model_copy(update={"sha256": hashlib.sha256(data).hexdigest()})
        (folder / weights.file).write_bytes(data)
        spec = pack.spec.model_copy(update={"embedder": embedder.model_copy(update={"weights": weights})})
        return replace(pack, spec=spec, folder=folder)

    return made


def test_a_usable_graph_is_taken(with_embedder: Callable[[bytes], Pack]) -> None:
    Recogniser(with_embedder(graph()), 1)


@pytest.mark.parametrize("what", UNUSABLE)
def test_an_unusable_graph_is_refused_by_its_name(with_embedder: Callable[[bytes], Pack], what: str) -> None:
    with pytest.raises(BadPack, match=r"embedder\.onnx"):
        Recogniser(with_embedder(UNUSABLE[what]()), 1)

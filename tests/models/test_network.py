from __future__ import annotations

import pytest

from models.build import network
from models.build.network import AddBack, Convolution, Dense, Mark
from models.build.pack import source
from models.build.stream import NotDlib
from models.load import Pack
from tests.models.packs import published


@pytest.fixture(scope="module")
def embedder(pack: Pack) -> bytes:
    return source(published(pack, "embedder"))


def test_the_embedder_is_read_to_its_last_byte(embedder: bytes) -> None:
    read = network.read(embedder)
    convolutions = [layer for layer in read.layers if isinstance(layer, Convolution)]
    assert len(convolutions) == 29
    assert sum(isinstance(layer, AddBack) for layer in read.layers) == 14
    assert sum(isinstance(layer, Mark) for layer in read.layers) == 14 + 2 * 4
    assert isinstance(read.layers[-1], Dense)
    assert read.layers[-1].weights.shape == (256, 128)
    assert read.input.size == (150, 150)


def test_the_detector_is_read_to_its_last_byte(pack: Pack) -> None:
    read = network.read(source(published(pack, "detector")))
    assert read.window is not None
    assert (read.window.width, read.window.height) == (80, 80)
    assert read.input.size is None


@pytest.mark.parametrize("damage", ["cut", "longer", "other layer", "other end", "nothing", "noise"])
def test_a_damaged_file_is_refused(embedder: bytes, damage: str) -> None:
    network.read(embedder)  # the control: undamaged it is read
    damaged = {
        "cut": embedder[:-1],
        "longer": embedder + b"\0",
        "other layer": embedder.replace(b"affine_", b"affine9", 1),
        "other end": embedder.replace(b"loss_metric_2", b"loss_metric_9", 1),
        "nothing": b"",
        "noise": bytes(range(256)) * 4,
    }[damage]
    with pytest.raises(NotDlib):
        network.read(damaged)

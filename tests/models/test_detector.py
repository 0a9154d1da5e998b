from __future__ import annotations

import numpy as np
import pytest

from kiosk.face.model import Model
from models.build import detector, network
from models.build.network import Convolution, Network
from models.build.pack import source
from models.build.stream import NotDlib
from models.load import Pack
from system.simulate.film import still_of
from tests.models.packs import mmod, published


@pytest.fixture(scope="module")
def net(pack: Pack) -> Network:
    return network.read(source(published(pack, "detector")))


def test_the_pack_says_of_the_map_what_the_network_says(pack: Pack, net: Network) -> None:
    geometry, spec = detector.geometry(net), mmod(pack)
    assert (geometry.stride, geometry.offset, geometry.window.width) == (spec.stride, spec.offset, spec.window_px)
    assert spec.nms_iou == pytest.approx(geometry.window.nms_iou, abs=5e-4)


def test_the_same_weights_give_the_same_bytes(pack: Pack, net: Network) -> None:
    assert detector.convert(net) == pack.read(mmod(pack).weights)


def test_a_picture_of_any_size_gives_its_map(pack: Pack) -> None:
    model = Model(pack.read(mmod(pack).weights), threads=1)
    assert model(np.zeros((1, 61, 93, 3), dtype=np.uint8)).shape == (1, 1, 5, 9)


def test_without_its_running_statistics_the_detector_would_find_nothing(pack: Pack, net: Network) -> None:
    """Why the normalisation must be folded in: the bare convolutions say no everywhere."""
    bare = tuple(layer for layer in net.layers if type(layer).__name__ != "Scaling")
    frame = still_of("right")[None]
    assert Model(pack.read(mmod(pack).weights), threads=2)(frame[:, ::2, ::2]).max() > 0
    assert Model(detector.convert(Network(net.input, bare, net.window)), threads=2)(frame[:, ::2, ::2]).max() < 0


def test_a_network_that_finds_no_faces_is_refused(net: Network) -> None:
    with pytest.raises(NotDlib):
        detector.convert(Network(net.input, net.layers, None))
    first = net.layers[0]
    assert isinstance(first, Convolution)
    lopsided = Convolution(first.weights[:, :, :3], first.biases, first.stride, first.padding)
    with pytest.raises(NotDlib):
        detector.convert(Network(net.input, (lopsided, *net.layers[1:]), net.window))

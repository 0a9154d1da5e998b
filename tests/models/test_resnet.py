from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.face.model import Model
from models.build import network, resnet
from models.build.network import AddBack, Convolution, Input, Layer, Mark, Network, Pool, Relu, Scaling
from models.build.pack import source
from models.build.stream import NotDlib
from models.load import Pack
from system.simulate.film import still_of
from tests.models.packs import published
from tests.shared import shared

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def embedder(pack: Pack) -> Model:
    return Model(pack.read(pack.spec.embedder.weights), threads=2)


def chips_of_package_data() -> NDArray[np.uint8]:
    """Faces, people's surroundings and noise: 24 pictures of 150 x 150."""
    random = np.random.default_rng(3)
    frames = [still_of("right"), still_of("impostor"), still_of("nobody")]
    cut = [cv2.resize(f[y : y + s, x : x + s], (150, 150)) for f in frames for s, y, x in random.integers(80, 200, (7, 3))]
    return np.stack([*cut, *random.integers(0, 256, (3, 150, 150, 3), dtype=np.uint8)]).astype(np.uint8)


def chips_of_shared_faces() -> NDArray[np.uint8]:
    pictures = sorted((shared("faces") / "orl").glob("*_1.png"))[:12]
    return np.stack([cv2.resize(np.asarray(cv2.imread(str(path))), (150, 150)) for path in pictures]).astype(np.uint8)


@pytest.mark.parametrize("chips_of", [chips_of_package_data, chips_of_shared_faces])
def test_vectors_are_those_of_dlib(embedder: Model, dlib_embedder: Any, chips_of: Any) -> None:
    chips = chips_of()
    peer = np.array([dlib_embedder.compute_face_descriptor(np.ascontiguousarray(chip[..., ::-1])) for chip in chips])
    assert np.abs(embedder(chips) - peer).max() <= 1e-5
    assert np.abs(embedder(chips[:, ::-1]) - peer).max() > 1e-2  # the control: upside down


def test_the_same_weights_give_the_same_bytes(pack: Pack) -> None:
    data = source(published(pack, "embedder"))
    assert resnet.convert(network.read(data)) == pack.read(pack.spec.embedder.weights)


@pytest.mark.parametrize("size", [15, 16, 17, 18])
def test_another_network_of_the_architecture_gives_what_plain_arithmetic_gives(size: int) -> None:
    """Even and odd sizes: sometimes the long branch is the larger one, sometimes the short one, and it has fewer channels."""
    net = small_network(size)
    image = np.random.default_rng(1).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    assert np.allclose(Model(resnet.convert(net), threads=1)(image)[0], plain(net, image[0]), atol=1e-4)


def test_a_detector_and_stray_layers_are_refused() -> None:
    net = small_network(16)
    with pytest.raises(NotDlib):
        resnet.convert(Network(Input(net.input.mean, None), net.layers, None))
    with pytest.raises(NotDlib):
        resnet.convert(Network(net.input, (net.layers[0], AddBack()), None))
    with pytest.raises(NotDlib):
        resnet.convert(Network(net.input, net.layers[:4], None))


def small_network(size: int) -> Network:
    """A stem, one block that keeps its size, one that halves it and doubles the channels, and an average."""
    random = np.random.default_rng(7)

    def convolution(inputs: int, outputs: int, kernel: int, stride: int, padding: int) -> tuple[Layer, Layer]:
        weights = random.normal(0, 0.5, (outputs, inputs, kernel, kernel)).astype(np.float32)
        scaling = Scaling(random.uniform(0.5, 2, outputs).astype(np.float32), random.normal(0, 1, outputs).astype(np.float32))
        biases = random.normal(0, 1, outputs).astype(np.float32)
        return Convolution(weights, biases, (stride, stride), (padding, padding)), scaling

    keep = (Mark(), *convolution(4, 4, 3, 1, 1), Relu(), *convolution(4, 4, 3, 1, 1), AddBack(), Relu())
    long = (Mark(), *convolution(4, 8, 3, 2, 0), Relu(), *convolution(8, 8, 3, 1, 1))
    halve = (*long, Mark(), Mark(), Pool(False, (2, 2), (2, 2), (0, 0)), AddBack(), Relu())
    layers = (*convolution(3, 4, 3, 1, 0), Relu(), *keep, *halve, Pool(False, (0, 0), (1, 1), (0, 0)))
    return Network(Input((122.0, 117.0, 104.0), (size, size)), layers, None)


def plain(net: Network, image: NDArray[np.uint8]) -> Floats:
    """The network step by step as its layers say, without folding anything."""
    value: Floats = (image[..., ::-1].astype(np.float64) - np.array(net.input.mean)).transpose(2, 0, 1) / 256
    kept: list[Floats] = []
    for layer in net.layers:
        match layer:
            case Convolution():
                value = convolved(value, layer)
            case Scaling():
                value = value * layer.factor[:, None, None] + layer.offset[:, None, None]
            case Relu():
                value = np.maximum(value, 0)
            case Mark() if len(kept) == 2:  # skip
                value = kept[0]
            case Mark():
                kept.append(value)
            case Pool(size=(0, 0)):
                value = np.asarray(value.mean(axis=(1, 2)))
            case Pool():
                rows, columns = value.shape[1] // 2 * 2, value.shape[2] // 2 * 2
                value = value[:, :rows, :columns].reshape(len(value), rows // 2, 2, columns // 2, 2).mean(axis=(2, 4))
            case AddBack():
                value = added(value, kept[-1])
                kept.clear()
            case _:
                raise AssertionError(layer)
    return np.asarray(value)


def convolved(value: Floats, layer: Convolution) -> Floats:
    padding, stride, kernel = layer.padding[0], layer.stride[0], layer.weights.shape[2]
    value = np.pad(value, ((0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(value, (kernel, kernel), axis=(1, 2))[:, ::stride, ::stride]
    return np.asarray(np.einsum("crskl,ockl->ors", windows, layer.weights) + layer.biases[:, None, None])


def added(one: Floats, other: Floats) -> Floats:
    shape = np.maximum(one.shape, other.shape)
    return np.asarray(
        sum(np.pad(v, [(0, whole - part) for whole, part in zip(shape, v.shape, strict=True)]) for v in (one, other))
    )

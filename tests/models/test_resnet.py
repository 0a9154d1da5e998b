from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import dlib
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.face.model import Model
from models.build import network, resnet
from models.build.network import AddBack, Convolution, Dense, Input, Layer, Mark, Network, Pool, Relu, Scaling
from models.build.pack import source
from models.build.stream import NotDlib
from models.load import Pack
from system.simulate.film import still_of
from tests.models.dat import with_widths, written
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


def wide(pack: Pack) -> Network:
    """dlib's own architecture with other widths and random weights."""
    return with_widths(network.read(source(published(pack, "embedder"))), {32: 6, 64: 10, 128: 14, 256: 18})


def test_a_dlib_file_of_other_widths_gives_what_dlib_gives(pack: Pack, tmp_path: Path) -> None:
    data = written(wide(pack))
    (tmp_path / "other.dat").write_bytes(data)
    peer_model: Any = dlib.face_recognition_model_v1(str(tmp_path / "other.dat"))
    chips = chips_of_package_data()[:4]
    peer = np.array([peer_model.compute_face_descriptor(np.ascontiguousarray(chip[..., ::-1])) for chip in chips])
    own = Model(resnet.convert(network.read(data)), threads=1)
    assert np.abs(own(chips) - peer).max() <= 1e-5 * np.abs(peer).max()
    assert np.abs(own(chips[:, ::-1]) - peer).max() > 1e-3 * np.abs(peer).max()  # the control: upside down


def spoilt(net: Network, place: int, layer: Layer) -> Network:
    return replace(net, layers=(*net.layers[:place], layer, *net.layers[place + 1 :]))


def test_a_network_of_another_architecture_is_refused_by_the_layer(pack: Pack) -> None:
    net = wide(pack)
    assert resnet.convert(net)  # the control
    second = next(place for place, layer in enumerate(net.layers) if place and isinstance(layer, Convolution))
    layer = net.layers[second]
    assert isinstance(layer, Convolution)
    scaling = net.layers[second + 1]
    assert isinstance(scaling, Scaling)
    pool = next(place for place, layer in enumerate(net.layers) if isinstance(layer, Pool))
    cases: list[tuple[Network, str]] = [
        (spoilt(net, second, replace(layer, weights=layer.weights[:, :3])), r"layer 5 .*takes 3 channels .*6 come in"),
        (spoilt(net, second, replace(layer, biases=layer.biases[:2])), "scaling of 6 channels"),
        (spoilt(net, second, replace(layer, weights=layer.weights * np.float32(np.nan))), "no numbers"),
        (spoilt(net, second, replace(layer, stride=(0, 1))), "window"),
        (spoilt(net, second, replace(layer, padding=(-1, 0))), "window"),
        (spoilt(net, second + 1, Scaling(scaling.factor[:2], scaling.offset[:2])), "scaling of 2 channels"),
        (spoilt(net, pool, Pool(True, (400, 400), (2, 2), (0, 0))), "window"),
        (spoilt(net, len(net.layers) - 1, Dense(np.zeros((17, 128), dtype=np.float32))), "takes 17 numbers; 18 x 1 x 1 come in"),
        (spoilt(net, 0, replace(layer, padding=(0, 0))), "first convolution takes 6 channels"),
        (replace(net, layers=(*net.layers, Mark())), "does not end"),
        (replace(net, layers=(*net.layers, AddBack())), "AddBack"),
        (replace(net, layers=()), "first layer"),
    ]
    for other, said in cases:
        with pytest.raises(NotDlib, match=said):
            resnet.convert(other)


@pytest.mark.parametrize("seed", range(40))
def test_a_file_with_bytes_changed_is_converted_or_refused_and_nothing_else(pack: Pack, small: bytes, seed: int) -> None:
    random = np.random.default_rng(seed)
    data = bytearray(small)
    heads = np.flatnonzero(np.frombuffer(small, dtype=np.uint8) < 9)  # lengths of whole numbers above all
    for place in random.choice(heads, 3):
        data[place] = random.integers(0, 256)
    with suppress(NotDlib), np.errstate(all="ignore"):
        resnet.convert(network.read(bytes(data)))


@pytest.fixture(scope="module")
def small() -> bytes:
    """A whole file of few weights."""
    net = small_network(16)
    data = written(replace(net, layers=(*net.layers, Dense(np.ones((8, 4), dtype=np.float32)))))
    assert resnet.convert(network.read(data))
    return data

"""A dlib network as it lies in its file: the layers one after the other, from the picture to the answer.

dlib nests layers as C++ types: the file first has one version number a layer, outermost first, then the layers' own data,
innermost first. A 1 among the versions is a tag or a skip, which hold no data; 2 is a layer; 3 is the layer next to the input.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from models.build.stream import Alias, NotDlib, Stream

Floats = NDArray[np.float32]

_MARK: Final = 1
_LAYER: Final = 2
_FIRST: Final = 3


@dataclass(frozen=True, slots=True)
class Convolution:
    """``con``: weights are (filters, channels, rows, columns); sizes are (rows, columns)."""

    weights: Floats
    biases: Floats
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Scaling:
    """``affine``, or ``bn_con`` with its running statistics folded in: a factor and an offset a channel."""

    factor: Floats
    offset: Floats


@dataclass(frozen=True, slots=True)
class Relu:
    """``relu``."""


@dataclass(frozen=True, slots=True)
class Pool:
    """``max_pool`` or ``avg_pool``; a size of (0, 0) covers everything."""

    is_max: bool
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]


@dataclass(frozen=True, slots=True)
class AddBack:
    """``add_prev``: adds what an earlier mark kept."""


@dataclass(frozen=True, slots=True)
class Dense:
    """``fc`` without bias: weights are (inputs, outputs)."""

    weights: Floats


@dataclass(frozen=True, slots=True)
class Mark:
    """A tag (keep what is here) or a skip (go back to a tag); the file does not tell them apart."""


Layer = Convolution | Scaling | Relu | Pool | AddBack | Dense | Mark


@dataclass(frozen=True, slots=True)
class Input:
    """What the network takes: RGB, ``(x - mean) / 256``.

    Attributes:
        mean: red, green, blue.
        size: rows and columns, or None where any will do.
    """

    mean: tuple[float, float, float]
    size: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class DetectorWindow:
    """What the detector's loss layer says about its boxes.

    Attributes:
        width: of the box a detection stands for, pixels of the scaled picture.
        height: the same.
        nms_iou: two boxes that overlap by more than this are one.
        nms_covered: two boxes of which one covers more than this of the other are one.
    """

    width: int
    height: int
    nms_iou: float
    nms_covered: float


@dataclass(frozen=True, slots=True)
class Network:
    """A whole network.

    Attributes:
        window: of a detector; None for others.
        layers: from the input on.
    """

    input: Input
    layers: tuple[Layer, ...]
    window: DetectorWindow | None


def read(data: bytes) -> Network:
    """Read a network file to its last byte.

    Raises:
        NotDlib: it is none, or holds a kind of layer that faces do not need.
    """
    stream = Stream(data)
    stream.expect("version of the loss layer", 1)
    window = _loss(stream)
    versions = [stream.expect("version of a layer", _MARK, _LAYER, _FIRST)]
    while versions[-1] != _FIRST:
        versions.append(stream.expect("version of a layer", _MARK, _LAYER, _FIRST))
    taken = _input(stream)
    layers = tuple(Mark() if version == _MARK else _layer(stream, version) for version in reversed(versions))
    stream.finish()
    return Network(taken, layers, window)


def _loss(stream: Stream) -> DetectorWindow | None:
    match stream.text():
        case "loss_metric_2":
            stream.numbers(2)  # margin and distance threshold of the training
            return None
        case "loss_mmod_":
            stream.expect("version of the detector's options", 1)
            width, height = stream.integers(2)
            stream.numbers(3)  # costs and IoU of the training
            iou, covered = stream.numbers(2)
            stream.numbers(2)  # overlap of boxes ignored in the training
            return DetectorWindow(width, height, iou, covered)
        case other:
            raise NotDlib(f"a network that ends in {other!r}; known are loss_metric_2 and loss_mmod_")


def _input(stream: Stream) -> Input:
    kind = stream.text()
    red, green, blue = stream.numbers(3)
    mean = (red, green, blue)
    match kind:
        case "input_rgb_image_sized":
            return Input(mean, (stream.integer(), stream.integer()))
        case "input_rgb_image_pyramid":
            return Input(mean, None)
        case other:
            raise NotDlib(f"a network that begins with {other!r}")


def _layer(stream: Stream, version: int) -> Layer:
    name = stream.text()
    if name not in _LAYERS:
        raise NotDlib(f"a layer {name!r}; known are {', '.join(sorted(_LAYERS))}")
    layer = _LAYERS[name](stream)
    for _ in range(3):
        stream.flag()  # set up, gradient stale, output disabled
    for _ in range(3):
        stream.tensor()  # left from training: gradients and the last output
    if version == _FIRST:
        stream.expect("pictures a sample", 1)
    return layer


def _convolution(stream: Stream) -> Convolution:
    parameters = stream.tensor().ravel()
    stream.integers(3)  # filters, rows, columns: again in the shape of the weights
    stride = stream.integer(), stream.integer()
    padding = stream.integer(), stream.integer()
    weights, biases = stream.alias(), stream.alias()
    _training_rates(stream)
    return Convolution(_window(parameters, weights), _window(parameters, biases, weights.size).ravel(), stride, padding)


def _affine(stream: Stream) -> Scaling:
    parameters = stream.tensor().ravel()
    factor, offset = stream.alias(), stream.alias()
    stream.expect("kind of affine layer", 0)  # one factor a channel
    return Scaling(_window(parameters, factor).ravel(), _window(parameters, offset, factor.size).ravel())


def _normalisation(stream: Stream) -> Scaling:
    parameters = stream.tensor().ravel()
    factor, offset = stream.alias(), stream.alias()
    for _ in range(2):
        stream.tensor()  # statistics of the last batch
    means = stream.tensor().ravel().astype(np.float64)
    variances = stream.tensor().ravel().astype(np.float64)
    stream.integers(2)  # number of updates, and over how many the running statistics go
    _training_rates(stream)
    epsilon = stream.number()
    scale = _window(parameters, factor).ravel() / np.sqrt(variances + epsilon)
    shift = _window(parameters, offset, factor.size).ravel() - scale * means
    return Scaling(scale.astype(np.float32), shift.astype(np.float32))


def _relu(_: Stream) -> Relu:
    return Relu()


def _add_back(_: Stream) -> AddBack:
    return AddBack()


def _max_pool(stream: Stream) -> Pool:
    return _pool(stream, is_max=True)


def _average_pool(stream: Stream) -> Pool:
    return _pool(stream, is_max=False)


def _pool(stream: Stream, *, is_max: bool) -> Pool:
    size = stream.integer(), stream.integer()
    stride = stream.integer(), stream.integer()
    return Pool(is_max, size, stride, (stream.integer(), stream.integer()))


def _dense(stream: Stream) -> Dense:
    stream.integers(2)  # outputs and inputs: again in the shape of the weights
    parameters = stream.tensor().ravel()
    weights, biases = stream.alias(), stream.alias()
    if biases.size:
        raise NotDlib("a dense layer with biases")
    stream.expect("whether a dense layer has biases", 1)
    _training_rates(stream)
    return Dense(_window(parameters, weights)[:, :, 0, 0])


def _training_rates(stream: Stream) -> None:
    """Read over the learning rates and weight decays of weights and biases."""
    stream.numbers(4)


def _window(parameters: Floats, alias: Alias, start: int = 0) -> Floats:
    if start + alias.size > parameters.size:
        raise NotDlib(f"a layer names {start + alias.size} parameters and holds {parameters.size}")
    return parameters[start : start + alias.size].reshape(alias.shape)


_LAYERS: Final[dict[str, Callable[[Stream], Layer]]] = {
    "con_4": _convolution,
    "affine_": _affine,
    "bn_con2": _normalisation,
    "relu_": _relu,
    "max_pool_2": _max_pool,
    "avg_pool_2": _average_pool,
    "add_prev_": _add_back,
    "fc_2": _dense,
}

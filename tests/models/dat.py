"""Writes networks as dlib does, so that other networks of its architecture can be held against dlib itself."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from models.build.network import AddBack, Convolution, Dense, Layer, Mark, Network, Pool, Relu, Scaling

Floats = NDArray[np.float32]


def written(network: Network) -> bytes:
    """An embedder's file: loss layer, versions from the last layer to the first, input, the layers from the first to the last."""
    assert network.input.size is not None
    marks = [1 if isinstance(layer, Mark) else 2 for layer in network.layers]
    out = [integer(1), text("loss_metric_2"), number(0.04), number(0.6), *map(integer, [*reversed(marks[1:]), 3])]
    out += [text("input_rgb_image_sized"), *map(number, network.input.mean), *map(integer, network.input.size)]
    for place, layer in enumerate(network.layers):
        if not isinstance(layer, Mark):
            # Set up, so that dlib does not draw new weights; nothing left from training.
            out += [*details(layer), b"100", tensor(None) * 3]
        if place == 0:
            out.append(integer(1))
    return b"".join(out)


def details(layer: Layer) -> list[bytes]:
    """A layer's own data."""
    match layer:
        case Convolution(weights, biases, stride, padding):
            held = [tensor(np.concatenate([weights.ravel(), biases])), *map(integer, (len(weights), *weights.shape[2:]))]
            return [text("con_4"), *held, *map(integer, stride + padding), alias(*weights.shape), alias(1, len(biases)), rates()]
        case Scaling(factor, offset):
            both = alias(1, factor.size)
            return [text("affine_"), tensor(np.concatenate([factor, offset])), both, both, integer(0)]
        case Relu():
            return [text("relu_")]
        case AddBack():
            return [text("add_prev_")]
        case Pool(is_max, size, stride, padding):
            return [text("max_pool_2" if is_max else "avg_pool_2"), *map(integer, size + stride + padding)]
        case Dense(weights):
            inputs, outputs = weights.shape
            held = [integer(outputs), integer(inputs), tensor(weights.ravel())]
            return [text("fc_2"), *held, alias(inputs, outputs), alias(0, 0, 0, 0), integer(1), rates()]
        case _:
            raise AssertionError(layer)


def integer(value: int) -> bytes:
    length = max(1, (abs(value).bit_length() + 7) // 8)
    return bytes([length | (0x80 if value < 0 else 0)]) + abs(value).to_bytes(length, "little")


def number(value: float) -> bytes:
    mantissa, power = math.frexp(value)
    return integer(int(mantissa * 2**24)) + integer(power - 24)


def text(value: str) -> bytes:
    return integer(len(value)) + value.encode()


def tensor(values: Floats | None) -> bytes:
    """A column of values, or an empty tensor."""
    if values is None:
        return integer(2) + integer(0) * 4
    return integer(2) + b"".join(map(integer, (values.size, 1, 1, 1))) + values.astype("<f4").tobytes()


def alias(*sizes: int) -> bytes:
    return integer(1) + b"".join(map(integer, [*sizes, 1, 1][:4]))


def rates() -> bytes:
    return number(1) * 4


def with_widths(network: Network, widths: dict[int, int], seed: int = 5) -> Network:
    """The same layers with other numbers of channels and random weights.

    Args:
        network: with Dense as its last layer.
        widths: from a number of channels to the one that takes its place.
        seed: of the weights.
    """
    random = np.random.default_rng(seed)

    def width(channels: int) -> int:
        return widths.get(channels, channels)

    def drawn(shape: Iterable[int], inputs: int) -> Floats:
        return random.normal(0, math.sqrt(1.5 / inputs), tuple(shape)).astype(np.float32)

    def changed(layer: Layer) -> Layer:
        match layer:
            case Convolution(weights):
                filters, channels, rows, columns = weights.shape
                shape = (width(filters), width(channels), rows, columns)
                return replace(layer, weights=drawn(shape, shape[1] * rows * columns), biases=drawn(shape[:1], 10))
            case Scaling(factor):
                count = width(factor.size)
                return Scaling(random.uniform(0.6, 1.2, count).astype(np.float32), drawn((count,), 10))
            case Dense(weights):
                inputs = width(len(weights))
                return Dense(drawn((inputs, weights.shape[1]), inputs))
            case _:
                return layer

    return replace(network, layers=tuple(map(changed, network.layers)))

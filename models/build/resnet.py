"""dlib's face ResNet as ONNX: pictures in, one vector of 128 numbers a face out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.build.graph import Graph, folded
from models.build.network import AddBack, Convolution, Dense, Layer, Mark, Network, Pool
from models.build.stream import NotDlib

Pair = tuple[int, ...]
"""Rows and columns."""


@dataclass(frozen=True, slots=True)
class Value:
    """What a layer gives: its name in the graph and its sizes."""

    name: str
    channels: int
    rows: int
    columns: int


def convert(network: Network) -> bytes:
    """Return the ONNX model: ``images`` (count, size, size, 3) uint8 BGR to ``vectors`` (count, length) float32.

    Any network of this architecture will do, whatever its depth, widths and input size: convolutions, each residual block
    begun by a tag, and closed by `AddBack` either directly or after tag, skip and an average pool of what the first tag kept.
    Every layer is checked against what the one before it gives.

    Raises:
        NotDlib: the network is of another architecture; the text names the layer, counted without scalings.
    """
    if network.input.size is None or network.window is not None:
        raise NotDlib("this is a detector, not a network that describes faces")
    graph = Graph(network.input.size)
    now = Value(graph.input, 3, *network.input.size)
    start = branch = None
    layers = folded(network.layers, network.input)
    for place, (before, layer, after) in enumerate(zip((None, *layers), layers, (*layers[1:], None), strict=False), 1):
        match layer:
            case Mark() if isinstance(before, Mark) and start is not None:  # skip: back to where the block began
                now = start
            case Mark() if isinstance(after, Mark):  # tag before a skip: the end of the long branch
                branch = now
            case Mark():  # tag: a block begins
                start = now
            case AddBack() if start is not None:
                now = _sum(graph, now, branch or start)
                start = branch = None
            case _:
                if problem := _problem(layer, now):
                    raise NotDlib(f"layer {place} of {len(layers)} ({type(layer).__name__}) {problem}")
                now = _appended(graph, layer, now)
    if start is not None or (now.rows, now.columns) != (1, 1):
        raise NotDlib("the network does not end in one vector a picture")
    return graph.model("face-resnet", "vectors", ["count", now.channels])


def _problem(layer: Layer, now: Value) -> str:
    """Return why a layer cannot take what comes, or nothing."""
    match layer:
        case Convolution(weights, biases):
            if weights.shape[1] != now.channels or not 0 < biases.size == len(weights):
                return (
                    f"takes {weights.shape[1]} channels and has {biases.size} biases for {len(weights)}; {now.channels} come in"
                )
            if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
                return "has weights that are no numbers"
            return _misfit(weights.shape[2:], layer.stride, layer.padding, now)
        case Pool(size=(0, 0)):
            return ""
        case Pool():
            return _misfit(layer.size, layer.stride, layer.padding, now)
        case Dense(weights):
            if (now.rows, now.columns) != (1, 1) or len(weights) != now.channels:
                return f"takes {len(weights)} numbers; {now.channels} x {now.rows} x {now.columns} come in"
            return "" if np.isfinite(weights).all() else "has weights that are no numbers"
        case _:
            return ""


def _misfit(size: Pair, stride: Pair, padding: Pair, now: Value) -> str:
    """Return why a window does not fit over what comes, or nothing."""
    whole = (now.rows + 2 * padding[0], now.columns + 2 * padding[1])
    if min(*size, *stride) < 1 or min(padding) < 0 or max(padding) > max(size) or size[0] > whole[0] or size[1] > whole[1]:
        return f"has a window of {size} in steps of {stride}, padded by {padding}; {now.rows} x {now.columns} come in"
    return ""


def _appended(graph: Graph, layer: Layer, now: Value) -> Value:
    """Append one layer and return what it gives; sizes round down, as dlib's do."""
    name = graph.add(layer, now.name)
    match layer:
        case Convolution():
            return _shrunk(name, len(layer.weights), now, layer.weights.shape[2:], layer.stride, layer.padding)
        case Pool(size=(0, 0)):
            return Value(name, now.channels, 1, 1)
        case Pool():
            return _shrunk(name, now.channels, now, layer.size, layer.stride, layer.padding)
        case Dense():
            return Value(name, layer.weights.shape[1], 1, 1)
        case _:
            return Value(name, now.channels, now.rows, now.columns)


def _shrunk(name: str, channels: int, now: Value, size: Pair, stride: Pair, padding: Pair) -> Value:
    rows = (now.rows + 2 * padding[0] - size[0]) // stride[0] + 1
    columns = (now.columns + 2 * padding[1] - size[1]) // stride[1] + 1
    return Value(name, channels, rows, columns)


def _sum(graph: Graph, one: Value, other: Value) -> Value:
    """Add two values as dlib does: both grow to the larger size in every direction, filled with zeros."""
    channels, rows, columns = max(one.channels, other.channels), max(one.rows, other.rows), max(one.columns, other.columns)
    padded = [graph.pad(v.name, channels - v.channels, rows - v.rows, columns - v.columns) for v in (one, other)]
    return Value(graph.add_values(*padded), channels, rows, columns)

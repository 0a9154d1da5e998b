"""dlib's mmod face detector as ONNX: a picture in, a map of scores out."""

from __future__ import annotations

from dataclasses import dataclass

from models.build.graph import Graph, folded
from models.build.network import Convolution, DetectorWindow, Network
from models.build.stream import NotDlib


@dataclass(frozen=True, slots=True)
class Geometry:
    """How a place in the map of scores lies in the picture: ``picture = stride * map + offset``, the middle of the window.

    Attributes:
        window: size of the box and how boxes that overlap are merged.
    """

    stride: int
    offset: int
    window: DetectorWindow


def convert(network: Network) -> bytes:
    """Return the ONNX model: ``images`` (count, rows, columns, 3) uint8 BGR to ``scores`` (count, 1, map rows, map columns).

    Raises:
        NotDlib: the network is no such detector.
    """
    graph = Graph(None)
    value = graph.input
    for layer in folded(network.layers, network.input):
        value = graph.add(layer, value)
    geometry(network)
    return graph.model("face-detector", "scores", ["count", 1, "map_rows", "map_columns"])


def geometry(network: Network) -> Geometry:
    """Return how the map of scores lies in the picture.

    Raises:
        NotDlib: the network is no detector, or treats rows and columns differently.
    """
    if network.window is None:
        raise NotDlib("this network finds no faces")
    stride, offset = 1, 0
    for layer in network.layers:
        if isinstance(layer, Convolution):
            (rows, columns), padding = layer.weights.shape[2:], layer.padding
            if rows != columns or layer.stride[0] != layer.stride[1] or padding[0] != padding[1]:
                raise NotDlib("a detector whose rows and columns differ")
            offset += stride * (rows // 2 - padding[0])
            stride *= layer.stride[0]
    return Geometry(stride, offset, network.window)

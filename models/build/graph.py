"""An ONNX graph under construction, written so that the same weights always give the same bytes."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.build.network import AddBack, Convolution, Dense, Input, Layer, Mark, Pool, Relu, Scaling
from models.build.stream import NotDlib

OPSET: Final = 17
IR_VERSION: Final = 8
PRODUCER: Final = "renzheng models/build"


def folded(layers: tuple[Layer, ...], taken: Input) -> tuple[Layer, ...]:
    """Return the layers with every scaling, and the input's own, folded into the convolution before or after it.

    The first convolution then takes the picture as cameras give it: blue, green, red, 0 to 255.

    Raises:
        NotDlib: a scaling without a fitting convolution before it, or a first convolution that takes no pictures or is padded,
            whose zeros would no longer be zeros.
    """
    out: list[Layer] = []
    for layer in layers:
        if isinstance(layer, Scaling):
            if not out or not isinstance(out[-1], Convolution):
                raise NotDlib("a scaling that follows no convolution")
            if not layer.factor.size == layer.offset.size == out[-1].biases.size == len(out[-1].weights):
                raise NotDlib(f"a scaling of {layer.factor.size} channels after a convolution that gives {len(out[-1].weights)}")
            out[-1] = _scaled(out[-1], layer)
        else:
            out.append(layer)
    if not out or not isinstance(out[0], Convolution) or out[0].padding != (0, 0):
        raise NotDlib("the first layer is not a convolution without padding")
    if out[0].weights.shape[1] != len(taken.mean):
        raise NotDlib(f"the first convolution takes {out[0].weights.shape[1]} channels, a picture has {len(taken.mean)}")
    out[0] = _fed_by_camera(out[0], taken)
    return tuple(out)


def _scaled(before: Convolution, scaling: Scaling) -> Convolution:
    factor = scaling.factor.astype(np.float64)
    weights = before.weights * factor[:, None, None, None]
    biases = before.biases * factor + scaling.offset
    return Convolution(weights.astype(np.float32), biases.astype(np.float32), before.stride, before.padding)


def _fed_by_camera(first: Convolution, taken: Input) -> Convolution:
    weights = first.weights.astype(np.float64) / 256
    # One product after the other, in this order on every machine, so that the sum is the same bit for bit.
    shift = np.zeros(len(weights))
    for channel, mean in enumerate(taken.mean):
        for row, column in np.ndindex(weights.shape[2:]):
            shift += weights[:, channel, row, column] * mean
    biases = first.biases - shift
    return Convolution(weights[:, ::-1].astype(np.float32), biases.astype(np.float32), first.stride, first.padding)


class Graph:
    """Collects nodes and weights. Values go by name; `input` is the first."""

    def __init__(self, size: tuple[int, int] | None) -> None:
        """Begin with the pictures: (count, rows, columns, 3) uint8, BGR.

        Args:
            size: rows and columns; None where any will do.
        """
        rows, columns = size or ("rows", "columns")
        self._taken = helper.make_tensor_value_info("images", TensorProto.UINT8, ["count", rows, columns, 3])
        self._nodes: list[onnx.NodeProto] = []
        self._weights: list[onnx.TensorProto] = []
        floats = self._node("Cast", "images", to=TensorProto.FLOAT)
        self.input = self._node("Transpose", floats, perm=[0, 3, 1, 2])

    def add(self, layer: Layer, value: str) -> str:
        """Append a layer that needs nothing but `value`; return the name of what it gives.

        Raises:
            NotDlib: it needs more.
        """
        match layer:
            case Convolution():
                (top, left), stride = layer.padding, list(layer.stride)
                inputs = (self._weight(layer.weights), self._weight(layer.biases))
                return self._node("Conv", value, *inputs, strides=stride, pads=[top, left, top, left])
            case Relu():
                return self._node("Relu", value)
            case Pool(size=(0, 0)):
                return self._node("ReduceMean", value, axes=[2, 3], keepdims=0)
            case Pool(padding=(0, 0)):
                kind = "MaxPool" if layer.is_max else "AveragePool"
                return self._node(kind, value, kernel_shape=list(layer.size), strides=list(layer.stride))
            case Dense():
                return self._node("MatMul", value, self._weight(layer.weights))
            case Scaling() | AddBack() | Mark() | Pool():
                raise NotDlib(f"{layer} where none can be")

    def pad(self, value: str, channels: int, rows: int, columns: int) -> str:
        """Append zeros after the last channel, row and column."""
        if channels == rows == columns == 0:
            return value
        return self._node("Pad", value, self._weight(np.array([0, 0, 0, 0, 0, channels, rows, columns], dtype=np.int64)))

    def add_values(self, one: str, other: str) -> str:
        """Add two values of the same size."""
        return self._node("Add", one, other)

    def model(self, name: str, output: str, shape: list[str | int]) -> bytes:
        """Return the finished model; what the last node gives is its output."""
        self._nodes[-1].output[0] = output
        given = helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)
        graph = helper.make_graph(self._nodes, name, [self._taken], [given], self._weights)
        opset = helper.make_opsetid("", OPSET)
        model = helper.make_model(graph, producer_name=PRODUCER, ir_version=IR_VERSION, opset_imports=[opset])
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))

    def _node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, list(inputs), [output], **attributes))
        return output

    def _weight(self, values: NDArray[np.float32] | NDArray[np.int64]) -> str:
        name = f"w{len(self._weights)}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

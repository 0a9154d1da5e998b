"""Model files that a pack may name and no runtime can use, and a good one to hold against them. Written with onnx, bytes each."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OPSET = 17


def graph(
    *,
    size: tuple[int, int] | None = (150, 150),
    length: int = 128,
    opset: int = OPSET,
    kind: int = TensorProto.UINT8,
    value: float | None = None,
) -> bytes:
    """An embedder of the house's shape: `images` (count, rows, columns, 3) uint8 to `vectors` (count, length) float32.

    Each number is the mean of the picture, so that other pictures give other vectors; every argument spoils one thing.

    Args:
        size: rows and columns of the input; None leaves them open.
        length: of the vector.
        opset: of the graph.
        kind: of the input's numbers.
        value: what every number of the vector is multiplied with: `math.nan`, `math.inf`; None is 1 / 255.
    """
    rows, columns = size or ("rows", "columns")
    images = helper.make_tensor_value_info("images", kind, ["count", rows, columns, 3])
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["count", length])
    factor = np.full((1, length), 1 / 255 if value is None else value, dtype=np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "last"], ["column"]),
        helper.make_node("MatMul", ["column", "factor"], ["vectors"]),
    ]
    return _written(nodes, [images], [vectors], {"last": np.array([1], dtype=np.int64), "factor": factor}, opset)


UNUSABLE: dict[str, Callable[[], bytes]] = {
    "empty": lambda: b"",
    "noise": lambda: bytes(range(256)) * 64,
    "cut short": lambda: graph()[:-200],
    "opset of the future": lambda: graph(opset=99),
    "input of floats": lambda: graph(kind=TensorProto.FLOAT),
    "input of another size": lambda: graph(size=(149, 151)),
    "no vectors": lambda: graph(length=1),
    "answers that are no numbers": lambda: graph(value=math.nan),
    "answers without end": lambda: graph(value=math.inf),
}
"""By what is wrong with each; as the embedder of a pack with 150 x 150 cut-outs none may come into use."""


def _written(
    nodes: list[onnx.NodeProto],
    taken: Sequence[onnx.ValueInfoProto],
    given: Sequence[onnx.ValueInfoProto],
    weights: dict[str, Any],
    opset: int,
) -> bytes:
    made = helper.make_graph(
        nodes, "test", taken, given, [numpy_helper.from_array(array, name) for name, array in weights.items()]
    )
    model = helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    return bytes(model.SerializeToString(deterministic=True))

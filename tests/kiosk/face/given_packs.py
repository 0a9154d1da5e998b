"""Packs put together from parts at hand, for kinds whose published weights are not: YuNet's, and tiny graphs of SFace's shape."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from models.load import Pack
from models.spec import (
    AddressSource,
    ArcfaceChipSpec,
    OwnPointsSpec,
    PackSpec,
    SfaceSpec,
    WeightsSpec,
    YunetSpec,
)
from tests.shared import shared

YUNET = "face_detection_yunet_2023mar.onnx"


def part(folder: Path, file: str, data: bytes) -> WeightsSpec:
    """Put a file of weights into a folder; return how a pack names it."""
    (folder / file).write_bytes(data)
    sha256 = hashlib.sha256(data).hexdigest()
    address = AddressSource(url=f"https://example.invalid/{file}", file=file, sha256=sha256, bytes=max(1, len(data)))
    return WeightsSpec(file=file, sha256=sha256, source=address)


def yunet(folder: Path) -> YunetSpec:
    """The published YuNet, or the test is skipped."""
    weights = part(folder, YUNET, shared(f"models/{YUNET}").read_bytes())
    return YunetSpec(kind="yunet", weights=weights, face_px=32, nms_iou=0.3, threshold=0.6)


def of_yunet(pack: Pack, folder: Path) -> Pack:
    """The default pack with YuNet as its detector; the cut-out is dlib's, refined."""
    return changed(pack, folder, detector=yunet(folder))


def of_zoo(pack: Pack, folder: Path) -> Pack:
    """A pack like OpenCV Zoo's: YuNet, its points, ArcFace's cut-out, and a tiny graph in SFace's place."""
    sface = SfaceSpec(kind="sface", weights=part(folder, "sface.onnx", sface_like()))
    return changed(
        pack,
        folder,
        detector=yunet(folder),
        landmarks=OwnPointsSpec(kind="of-detector"),
        alignment=ArcfaceChipSpec(kind="arcface-112"),
        embedder=sface,
    )


def changed(pack: Pack, folder: Path, **parts: object) -> Pack:
    """A pack with other parts, its weights in one folder."""
    for weights in pack.spec.weights:
        (folder / weights.file).write_bytes((pack.folder / weights.file).read_bytes())
    tables = pack.spec.model_dump() | {name: spec.model_dump() for name, spec in parts.items()}  # type: ignore[attr-defined]  # pydantic models
    return Pack(PackSpec.model_validate(tables | {"name": "changed"}), "0" * 64, folder)


def sface_like(outputs: int = 128, side: int = 112, *, opset: int = 11, scale: float = 1.0) -> bytes:
    """A graph with the signature of SFace, ``data`` (1, 3, 112, 112) RGB to ``fc1`` (1, 128), and random weights."""
    random = np.random.default_rng(5)
    pixels = 3 * (side // 8) ** 2
    dense = random.normal(0, scale / pixels, (pixels, outputs)).astype(np.float32)
    return graph(
        [
            helper.make_node("AveragePool", ["data"], ["small"], kernel_shape=[8, 8], strides=[8, 8]),
            helper.make_node("Flatten", ["small"], ["flat"]),
            helper.make_node("MatMul", ["flat", "dense"], ["fc1"]),
        ],
        {"dense": dense},
        ("data", TensorProto.FLOAT, [1, 3, side, side]),
        ("fc1", [1, outputs]),
        opset,
    )


def graph(
    nodes: list[onnx.NodeProto],
    weights: dict[str, NDArray[np.float32]],
    taken: tuple[str, int, list[int | str]],
    given: tuple[str, list[int | str]],
    opset: int = 11,
) -> bytes:
    """A small ONNX file."""
    name, kind, shape = taken
    made = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info(name, kind, shape)],
        [helper.make_tensor_value_info(given[0], TensorProto.FLOAT, given[1])],
        [numpy_helper.from_array(values, name) for name, values in weights.items()],
    )
    model = helper.make_model(made, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])
    return bytes(model.SerializeToString())

"""Model files that are not what they should be, parts that do not go together, and graphs that give no numbers: each named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from kiosk.face import graph_file
from kiosk.face.matcher import Matcher
from kiosk.face.model import Model, NotNumbers, Takes
from kiosk.face.recogniser import Recogniser
from models.load import BadPack, Pack
from models.spec import (
    ArcfaceChipSpec,
    DlibResnetSpec,
    LivenessSpec,
    MinifasnetSpec,
    OwnPointsSpec,
    SfaceSpec,
)
from sync_agent.contract.kinds import Condition
from system.simulate.film import still_of
from tests.kiosk.face.conftest import Chip
from tests.kiosk.face.given_packs import YUNET, changed, graph, of_yunet, of_zoo, part, sface_like, yunet
from tests.shared import shared


def embedder(data: bytes) -> Callable[[Pack, Path], Pack]:
    """A pack whose embedder is this file."""

    def made(pack: Pack, folder: Path) -> Pack:
        return changed(pack, folder, embedder=DlibResnetSpec(kind="dlib-resnet", weights=part(folder, "other.onnx", data)))

    return made


def resnet_like(
    *, side: int = 150, outputs: int = 128, channels: int = 3, kind: int = TensorProto.UINT8, opset: int = 13
) -> bytes:
    """A tiny graph of our own signature: ``images`` (count, rows, columns, 3) uint8 to ``vectors``."""
    weights = np.random.default_rng(3).normal(0, 0.01, (channels, outputs)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["vectors"]),
    ]
    shape: list[int | str] = ["count", side, side, channels]
    return graph(nodes, {"weights": weights}, ("images", kind, shape), ("vectors", ["count", outputs]), opset)


def no_numbers() -> bytes:
    """The same, but what it gives is 0 divided by 0 for any picture that is not black."""
    nodes = [
        helper.make_node("Cast", ["images"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["some"]),
        helper.make_node("Relu", ["some"], ["more"]),
        helper.make_node("Neg", ["more"], ["less"]),
        helper.make_node("Sqrt", ["less"], ["vectors"]),
    ]
    weights = {"weights": np.ones((3, 128), dtype=np.float32)}
    return graph(nodes, weights, ("images", TensorProto.UINT8, ["count", 150, 150, 3]), ("vectors", ["count", 128]), 13)


def test_ok__a_tiny_graph_of_the_right_signature_is_taken(pack: Pack, tmp_path: Path) -> None:
    small = Recogniser(embedder(resnet_like())(pack, tmp_path), 1)
    assert small.vector(np.full((150, 150, 3), 90, dtype=np.uint8)).shape == (128,)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "cannot load"),
        (b"not a graph", "cannot load"),
        (resnet_like()[:-200], "cannot load"),
        (resnet_like(opset=999), "cannot load"),
        (resnet_like(side=112), "150 x 150"),
        (resnet_like(channels=1), "it takes images"),
        (resnet_like(kind=TensorProto.FLOAT), "tensor\\(float\\)"),
        (resnet_like(outputs=1), "not two vectors"),
        (sface_like(), "it takes data"),
    ],
    ids=["empty", "text", "cut-short", "opset", "size", "channels", "type", "no-vector", "kind"],
)
def test_fail__a_model_file_that_is_of_another_kind_is_named(pack: Pack, tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(BadPack, match=rf"(?s)model file .*other\.onnx.* of pack 'changed' cannot be used: .*{says}"):
        Recogniser(embedder(data)(pack, tmp_path), 1)


@pytest.mark.parametrize("damage", ["cut-short", "other-graph", "text"])
def test_fail__a_yunet_that_is_none_is_named(pack: Pack, tmp_path: Path, damage: str) -> None:
    whole = shared(f"models/{YUNET}").read_bytes()
    Recogniser(of_yunet(pack, tmp_path), 1)  # the control
    data = {"cut-short": whole[:-1000], "other-graph": sface_like(), "text": b"not a graph at all"}[damage]
    spec = yunet(tmp_path).model_copy(update={"weights": part(tmp_path, "other.onnx", data)})
    with pytest.raises(BadPack, match=r"other\.onnx"):
        Recogniser(changed(pack, tmp_path, detector=spec), 1)


@pytest.mark.parametrize("data", [b"", b"text", b"PK\3\4" + bytes(40)])
def test_fail__points_that_are_none_are_named(pack: Pack, tmp_path: Path, data: bytes) -> None:
    spec = pack.spec.landmarks.model_copy(update={"weights": part(tmp_path, "other.npz", data)})
    with pytest.raises(BadPack, match=r"other\.npz.*five-point predictor"):
        Recogniser(changed(pack, tmp_path, landmarks=spec), 1)


def test_fail__parts_that_do_not_go_together_are_named(pack: Pack, tmp_path: Path) -> None:
    with pytest.raises(BadPack, match="gives no points"):
        Recogniser(changed(pack, tmp_path, landmarks=OwnPointsSpec(kind="of-detector")), 1)
    with pytest.raises(BadPack, match="arcface-112"):
        Recogniser(changed(pack, tmp_path, alignment=ArcfaceChipSpec(kind="arcface-112")), 1)
    sface = SfaceSpec(kind="sface", weights=part(tmp_path, "sface.onnx", sface_like()))
    with pytest.raises(BadPack, match="150 x 150"):
        Recogniser(changed(pack, tmp_path, embedder=sface), 1)


def test_values_that_are_no_numbers_are_an_error_and_never_a_score(pack: Pack, tmp_path: Path, chip: Chip) -> None:
    broken = Matcher(embedder(no_numbers())(pack, tmp_path), 1)
    with pytest.raises(NotNumbers, match="no numbers"):
        broken.refer(chip("right").image)
    sound = Matcher(embedder(resnet_like())(pack, tmp_path), 1)
    assert sound.refer(chip("right").image) is None  # the control
    assert sound.look(1, still_of("right")).distance is not None


def test_a_passive_model_is_fed_the_widened_face_and_its_middle_class_is_life(pack: Pack, tmp_path: Path, chip: Chip) -> None:
    """A graph in MiniFASNet's place that calls green alive: what counts is that it sees the cut-out, and which class is taken."""
    weights = np.array([[0.02, 0, 0], [0, 0.02, 0], [0, 0, 0.02]], dtype=np.float32)  # blue, green, red to the three classes
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["mean", "weights"], ["classes"]),
    ]
    data = graph(nodes, {"weights": weights}, ("input", TensorProto.FLOAT, [1, 3, 80, 80]), ("classes", [1, 3]))
    passive = MinifasnetSpec(kind="minifasnet", weights=part(tmp_path, "passive.onnx", data), input_px=80, scale=2.7, pass_at=0.5)
    liveness = LivenessSpec.model_validate(pack.spec.liveness.model_dump() | {"passive": passive.model_dump()})
    alive = Matcher(changed(pack, tmp_path, liveness=liveness), 1)
    alive.refer(chip("right").image)
    sure = [alive.look(1, tinted(still_of("right"), colour)).passive for colour in range(3)]
    assert sure[1] is not None and sure[0] is not None and sure[2] is not None
    assert sure[1] > max(sure[0], sure[2])
    without = Matcher(pack, 1)
    without.refer(chip("right").image)
    assert without.look(1, still_of("right")).passive is None  # the control


def tinted(image: np.ndarray, colour: int) -> np.ndarray:
    out = image.astype(np.float32)
    out[..., colour] = np.clip(1.2 * out[..., colour] + 12, 0, 255)
    return out.astype(np.uint8)


@pytest.mark.parametrize("which", ["yunet", "zoo"])
def test_every_kind_of_pack_gives_points_turn_and_distance(pack: Pack, tmp_path: Path, chip: Chip, which: str) -> None:
    matcher = Matcher((of_yunet if which == "yunet" else of_zoo)(pack, tmp_path), 1)
    assert matcher.refer(chip("right").image, Condition.CHIP) is None
    assert matcher.refer_other(chip("impostor").image) is None
    for number in range(3):
        glimpse = matcher.look(number, still_of("right"))
        assert glimpse.cause is None
        assert glimpse.distance is not None and glimpse.plain is not None and glimpse.other is not None
        assert glimpse.distance == pytest.approx(glimpse.plain)
        assert glimpse.distance < glimpse.other
        assert glimpse.box is not None
        for x, y in glimpse.points:
            assert glimpse.box.x < x < glimpse.box.x + glimpse.box.width
            assert glimpse.box.y < y < glimpse.box.y + glimpse.box.height
        assert glimpse.yaw_deg is not None and abs(glimpse.yaw_deg) < 12
    mirrored = np.ascontiguousarray(still_of("right")[:, ::-1])
    straight, other = matcher.look(4, still_of("right")).yaw_deg, matcher.look(5, mirrored).yaw_deg
    assert straight is not None and other is not None
    assert straight == pytest.approx(-other, abs=8)  # YuNet sees mirror images a little differently


def test_a_graph_of_fixed_size_takes_any_after_its_bytes_are_rewritten() -> None:
    whole = shared(f"models/{YUNET}").read_bytes()
    freed = onnx.load_from_string(graph_file.any_size(whole))
    onnx.checker.check_model(freed)
    dims = freed.graph.input[0].type.tensor_type.shape.dim
    assert [d.dim_value or d.dim_param for d in dims] == [1, 3, "rows", "columns"]
    nodes = [[node.SerializeToString() for node in model.graph.node] for model in (freed, onnx.load_from_string(whole))]
    assert nodes[0] == nodes[1]
    fixed = Model(whole, 1, Takes.PLANES_BGR).all(np.full((1, 640, 640, 3), 7, dtype=np.uint8))
    free = Model(graph_file.any_size(whole), 1, Takes.PLANES_BGR).all(np.full((1, 640, 640, 3), 7, dtype=np.uint8))
    for one, other in zip(fixed, free, strict=True):
        assert np.abs(one - other).max() < 1e-5


@pytest.mark.parametrize("data", [b"\x3a", b"\x3a\x7f", b"\xff" * 12, b"\x3b", b"\x3a\x03\x5a\x7f\x00"])
def test_bytes_that_are_no_model_are_refused_by_name(data: bytes) -> None:
    with pytest.raises(ValueError):
        graph_file.any_size(data)

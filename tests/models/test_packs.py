"""The packs that come with the program, as far as this machine can have them."""

from __future__ import annotations

import bz2
import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from models.build import network, resnet
from models.build.pack import build, source
from models.fetch import copy, published
from models.load import BadPack, Pack
from models.shelf import SHIPPED, Shelf
from models.spec import AddressSource, PackSpec, WeightsSpec
from tests.models.dat import with_widths, written
from tests.models.packs import published as source_of
from tests.shared import shared

NAMES = ["dlib", "dlib-yunet", "opencv-zoo"]


def test_three_packs_come_along_each_with_its_card() -> None:
    assert Shelf().names() == NAMES
    assert all((SHIPPED / name / "README.md").read_text().startswith(f"# Model pack `{name}`") for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_pack_is_for_attended_use_and_sends_to_a_person_before_it_refuses(name: str) -> None:
    spec = Shelf().open(name).spec
    assert spec.use == "attended"
    for band in (spec.thresholds.chip, spec.thresholds.document):
        assert band.accept_at < band.review_at


def test_only_the_thresholds_that_were_measured_say_so() -> None:
    bands = {name: Shelf().open(name).spec.thresholds for name in NAMES}
    assert [name for name in NAMES if bands[name].chip.measured] == ["dlib"]
    assert not any(band.document.measured for band in bands.values())


def test_published_files_have_official_addresses_with_their_commit() -> None:
    addresses = {address for name in NAMES for address, _ in published(Shelf().open(name))}
    assert {address.file: address.bytes for address in addresses} == {
        "face_detection_yunet_2023mar.onnx": 232_589,
        "face_recognition_sface_2021dec.onnx": 38_696_353,
    }
    for address in addresses:
        assert address.url.startswith("https://github.com/opencv/opencv_zoo/raw/")
        assert address.url.endswith("/" + address.file)


def test_yunet_with_dlib_is_complete_from_a_stick_and_the_locked_package(tmp_path: Path) -> None:
    stick = shared("models")
    shelf = Shelf(tmp_path)
    pack = shelf.open_to_fill("dlib-yunet")
    assert [path.name for path in copy(pack, stick)] == ["detector.onnx"]
    assert [path.name for path in build(pack)] == ["landmarks.npz", "embedder.onnx"]
    shelf.open("dlib-yunet").verify()


@pytest.fixture
def other(pack: Pack, tmp_path: Path) -> Pack:
    """A pack whose embedder is another dlib ResNet, published packed and to be converted."""
    net = with_widths(network.read(source(source_of(pack, "embedder"))), {32: 4, 64: 6, 128: 8, 256: 10})
    packed = bz2.compress(written(net), 1)
    (tmp_path / "stick").mkdir()
    (tmp_path / "stick" / "other.dat.bz2").write_bytes(packed)
    address = AddressSource(
        url="https://example.org/other.dat.bz2",
        file="other.dat.bz2",
        sha256=hashlib.sha256(packed).hexdigest(),
        bytes=len(packed),
    )
    made = hashlib.sha256(resnet.convert(net)).hexdigest()
    return replace(pack, folder=tmp_path / "weights", spec=with_embedder(pack.spec, made, address))


def with_embedder(spec: PackSpec, sha256: str, address: AddressSource) -> PackSpec:
    weights = WeightsSpec(file="embedder.onnx", sha256=sha256, source=address)
    return spec.model_copy(update={"embedder": spec.embedder.model_copy(update={"weights": weights})})


def test_another_dlib_resnet_is_fetched_packed_and_converted(other: Pack, tmp_path: Path) -> None:
    with pytest.raises(BadPack, match=r"other\.dat\.bz2.*python -m models fetch dlib"):
        build(other)
    copy(other, tmp_path / "stick")
    assert "embedder.onnx" in [path.name for path in build(other)]
    other.verify()
    assert build(other) == []


def test_a_fetched_source_that_was_changed_is_not_converted(other: Pack, tmp_path: Path) -> None:
    copy(other, tmp_path / "stick")
    path = other.folder / "other.dat.bz2"
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(BadPack, match="not the file that the pack names"):
        build(other)
    copy(other, tmp_path / "stick")
    build(other)  # the control


@pytest.mark.parametrize("data", [b"no bzip2 at all", bz2.compress(b"no network"), bz2.compress(bytes(10_000))[:-20]])
def test_a_named_source_that_is_no_network_is_refused_by_name(other: Pack, data: bytes) -> None:
    address = AddressSource(
        url="https://example.org/other.dat.bz2", file="other.dat.bz2", sha256=hashlib.sha256(data).hexdigest(), bytes=len(data)
    )
    odd = replace(other, spec=with_embedder(other.spec, "0" * 64, address))
    odd.folder.mkdir()
    (odd.folder / "other.dat.bz2").write_bytes(data)
    with pytest.raises(BadPack, match=r"other\.dat\.bz2' cannot be converted"):
        build(odd)


def test_a_source_that_unpacks_without_end_is_refused(other: Pack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy(other, tmp_path / "stick")
    with monkeypatch.context() as patch:
        patch.setattr("models.build.pack.UNPACKED_BYTES", 1000)
        with pytest.raises(BadPack, match="more than 1000 bytes"):
            build(other)
    build(other)  # the control


def test_what_is_used_as_published_cannot_be_converted(other: Pack, tmp_path: Path) -> None:
    copy(other, tmp_path / "stick")
    odd = other.spec.embedder.model_copy(update={"kind": "sface"})
    with pytest.raises(BadPack, match="used as they are published"):
        build(replace(other, spec=other.spec.model_copy(update={"embedder": odd})))


def test_names_that_would_lie_on_each_other_are_refused(pack: Pack) -> None:
    weights = pack.spec.embedder.weights
    with pytest.raises(ValueError, match="another name"):
        WeightsSpec.model_validate(weights.model_dump() | {"file": weights.source.file})
    tables = pack.spec.model_dump()
    PackSpec.model_validate(tables)
    tables["landmarks"]["weights"]["file"] = "embedder.onnx"
    with pytest.raises(ValueError, match="same name"):
        PackSpec.model_validate(tables)

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from models.build.pack import build, source
from models.load import BadPack, Pack, load
from models.shelf import SHIPPED
from tests.models.packs import published


@pytest.fixture
def copied(pack: Pack, tmp_path: Path) -> Pack:
    """The pack with weights of its own, to be damaged."""
    shutil.copytree(pack.folder, tmp_path / "weights")
    return replace(pack, folder=tmp_path / "weights")


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    """A pack's own pack.toml, to be damaged."""
    (tmp_path / "dlib").mkdir()
    return Path(shutil.copy(SHIPPED / "dlib" / "pack.toml", tmp_path / "dlib"))


def opened(toml: Path) -> Pack:
    return load(toml.parent, toml.parent / "weights")


def test_the_default_pack_is_for_attended_use_and_has_the_agreed_thresholds(pack: Pack) -> None:
    assert pack.spec.use == "attended"
    assert (pack.spec.thresholds.chip.accept_at, pack.spec.thresholds.chip.review_at) == (0.40, 0.50)


def test_a_file_that_is_as_it_should_be_is_read_and_a_changed_or_missing_one_refused(copied: Pack) -> None:
    weights = copied.spec.embedder.weights
    path = copied.folder / weights.file
    whole = copied.read(weights)  # the control
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(BadPack, match=r"embedder\.onnx.*not the one.*python -m models build dlib"):
        copied.read(weights)
    path.unlink()
    with pytest.raises(BadPack, match=r"embedder\.onnx.*No such file.*python -m models build dlib"):
        copied.verify()


def test_building_makes_only_what_is_missing_or_wrong_and_leaves_nothing_half_done(copied: Pack) -> None:
    assert build(copied) == []
    (copied.folder / "detector.onnx").write_bytes(b"")
    (copied.folder / "landmarks.npz").unlink()
    assert [path.name for path in build(copied)] == ["detector.onnx", "landmarks.npz"]
    copied.verify()
    assert sorted(path.name for path in copied.folder.iterdir()) == ["detector.onnx", "embedder.onnx", "landmarks.npz"]


def test_a_source_file_other_than_the_pinned_one_is_refused(pack: Pack) -> None:
    package = published(pack, "detector")
    assert source(package)  # the control
    with pytest.raises(BadPack, match="not the file"):
        source(package.model_copy(update={"sha256": "0" * 64}))
    with pytest.raises(BadPack, match="cannot be read"):
        source(package.model_copy(update={"file": "nothing.dat"}))
    with pytest.raises(BadPack, match="not installed"):
        source(package.model_copy(update={"package": "no-such-package"}))


def test_a_result_other_than_the_pinned_one_is_not_written(pack: Pack, tmp_path: Path) -> None:
    detector = pack.spec.detector
    other = detector.model_copy(update={"weights": detector.weights.model_copy(update={"sha256": "0" * 64})})
    odd = Pack(pack.spec.model_copy(update={"detector": other}), pack.sha256, tmp_path)
    with pytest.raises(BadPack, match="came out"):
        build(odd)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[quality]", "[quality]\nluck = 1"), r"quality\.luck"),
        (("accept_at = 0.40", "accept_at = -17"), r"thresholds\.chip\.accept_at"),
        (("review_at = 0.50", "review_at = 0.39"), r"thresholds\.chip.*review_at lies below accept_at"),
        (('use = "attended"', 'use = "always"'), "use"),
        (("[quality]", "[quality"), "not TOML"),
    ],
)
def test_a_pack_toml_with_a_mistake_is_refused_by_the_name_of_the_key(toml: Path, change: tuple[str, str], said: str) -> None:
    assert opened(toml).spec.name == "dlib"  # the control
    toml.write_text(toml.read_text().replace(*change))
    with pytest.raises(BadPack, match=said):
        opened(toml)


def test_any_change_of_a_pack_changes_its_hash(toml: Path) -> None:
    before = opened(toml).sha256
    toml.write_text(toml.read_text().replace("0.40", "0.41"))
    assert opened(toml).sha256 != before


def test_a_pack_in_a_folder_of_another_name_is_refused(toml: Path) -> None:
    other = toml.parent.rename(toml.parent.with_name("other"))
    with pytest.raises(BadPack, match="its folder must have that name"):
        opened(other / "pack.toml")

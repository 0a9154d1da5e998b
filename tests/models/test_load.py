from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import models.load
from models.__main__ import app
from models.build.pack import build, source
from models.load import BadPack, Pack, load, names
from tests.models.packs import published


@pytest.fixture
def copied(pack: Pack, tmp_path: Path) -> Pack:
    """The pack with weights of its own, to be damaged."""
    shutil.copytree(pack.folder, tmp_path / "weights")
    return load("dlib", tmp_path / "weights")


@pytest.fixture
def packs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder of packs, to be damaged."""
    shutil.copytree(models.load.HERE / "dlib", tmp_path / "packs" / "dlib", ignore=shutil.ignore_patterns("weights"))
    monkeypatch.setattr(models.load, "HERE", tmp_path / "packs")
    return tmp_path / "packs"


def test_the_default_pack_is_for_attended_use_and_has_the_agreed_thresholds(pack: Pack) -> None:
    assert names() == ["dlib"]
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
        (("accept_at = 0.40", "accept_at = -1"), r"thresholds\.chip\.accept_at"),
        (('use = "attended"', 'use = "always"'), "use"),
        (("[quality]", "[quality"), "not TOML"),
    ],
)
def test_a_pack_toml_with_a_mistake_is_refused_by_the_name_of_the_key(packs: Path, change: tuple[str, str], said: str) -> None:
    path = packs / "dlib" / "pack.toml"
    assert load("dlib").spec.name == "dlib"  # the control
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(BadPack, match=said):
        load("dlib")


def test_a_pack_that_is_not_there_is_refused_with_those_that_are(packs: Path) -> None:
    with pytest.raises(BadPack, match="Packs: dlib"):
        load("other")


def test_any_change_of_a_pack_changes_its_hash(packs: Path) -> None:
    before = load("dlib").sha256
    path = packs / "dlib" / "pack.toml"
    path.write_text(path.read_text().replace("0.40", "0.41"))
    assert load("dlib").sha256 != before


def test_the_command_builds_into_a_folder_verifies_it_and_ends_with_1_when_it_is_wrong(pack: Pack, tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(app, ["verify", "dlib", "--out", str(tmp_path)]).exit_code == 1
    built = run(app, ["build", "dlib", "--out", str(tmp_path)])
    assert (built.exit_code, built.output) == (0, "dlib: detector.onnx, landmarks.npz, embedder.onnx\n")
    assert run(app, ["build", "dlib", "--out", str(tmp_path)]).output == "dlib: nothing to do\n"
    assert run(app, ["verify", "--out", str(tmp_path)]).output == "dlib: as it should be\n"
    (tmp_path / "embedder.onnx").write_bytes(b"")
    wrong = run(app, ["verify", "dlib", "--out", str(tmp_path)])
    assert wrong.exit_code == 1
    assert "FACE-02" in wrong.output
    assert run(app, ["build", "other"]).exit_code == 1

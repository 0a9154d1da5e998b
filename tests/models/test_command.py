from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from models.__main__ import app
from models.load import Pack
from tests.models.mirror import serving
from tests.shared import shared


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(tmp_path)


class Run:
    """The command with a folder of packs of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--packs", str(self.folder)])


def test_a_pack_is_built_into_the_folder_verified_and_chosen(pack: Pack, run: Run) -> None:
    weights = run.folder / "dlib" / "weights"
    built = run("build", "dlib")
    assert (built.exit_code, built.output) == (0, "dlib: detector.onnx, landmarks.npz, embedder.onnx\n")
    assert sorted(path.name for path in weights.iterdir()) == ["detector.onnx", "embedder.onnx", "landmarks.npz"]
    assert run("build", "dlib").output == "dlib: nothing to do\n"
    assert run("verify").output == "dlib: as it should be\n"
    assert run("use", "dlib").exit_code == 0
    (weights / "embedder.onnx").write_bytes(b"")
    wrong = run("verify", "dlib")
    assert (wrong.exit_code, "FACE-02" in wrong.output) == (1, True)
    assert run("build", "other").exit_code == 1


def test_the_list_says_of_every_pack_what_it_is_worth_and_which_one_is_in_force(pack: Pack, run: Run) -> None:
    said = run("list").output
    assert (
        f"* dlib: {pack.spec.title}\n    use attended, licence CC0-1.0, sha256 {pack.sha256}\n    weights as they should be"
        in said
    )
    (run.folder / "dlib" / "weights").mkdir(parents=True)
    assert "weights missing or wrong: detector.onnx, landmarks.npz, embedder.onnx" in run("list").output
    (run.folder / "in-force.toml").write_text("")
    assert "none is in force" in run("list").output
    (run.folder / "own").mkdir()
    (run.folder / "own" / "pack.toml").write_text("")
    assert "own: FACE-02" in run("list").output


def test_a_choice_that_is_refused_ends_with_1_and_goes_with_a_reason(pack: Pack, run: Run) -> None:
    own = run.folder / "own"
    own.mkdir()
    text = Path(pack.folder.parent / "pack.toml").read_text()
    (own / "pack.toml").write_text(text.replace('name = "dlib"', 'name = "own"'))
    (own / "weights").symlink_to(pack.folder)
    refused = run("use", "own")
    assert (refused.exit_code, "FACE-04" in refused.output) == (1, True)
    forced = run("use", "own", "--because", "a trial")
    assert forced.exit_code == 0
    assert "against it: " in forced.output
    assert "* own" in run("list").output


def test_published_files_are_fetched_from_a_mirror_or_a_folder_and_a_failure_ends_with_1(run: Run, tmp_path: Path) -> None:
    yunet = shared("models/face_detection_yunet_2023mar.onnx")
    missing = run("fetch", "dlib-yunet", "--from", str(tmp_path))
    assert (missing.exit_code, "FACE-03" in missing.output) == (1, True)
    unmade = run("build", "dlib-yunet")
    assert (unmade.exit_code, "detector.onnx must be fetched" in unmade.output) == (1, True)
    with serving(yunet.read_bytes()) as mirror:
        got = run("fetch", "dlib-yunet", "--mirror", mirror.address)
    assert (got.exit_code, got.output) == (0, "dlib-yunet: detector.onnx\n")
    assert run("fetch", "dlib-yunet", "--from", str(yunet.parent)).output == "dlib-yunet: nothing to do\n"
    assert run("verify", "dlib-yunet").exit_code == 0
    assert run("fetch", "dlib-yunet", "--from", str(tmp_path), "--mirror", "http://127.0.0.1").exit_code == 2
    assert run("fetch", "no-such-pack").exit_code == 1

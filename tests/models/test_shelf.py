from __future__ import annotations

import shutil
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from models.evaluation import Evaluation
from models.load import BadPack, Pack
from models.shelf import SHIPPED, Refused, Shelf
from tests.models.test_evaluation import evaluation

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)


@pytest.fixture
def folder(pack: Pack, tmp_path: Path) -> Path:
    """A site's folder with a pack of its own: the default one with another name and stricter thresholds."""
    own = tmp_path / "packs" / "own"
    own.mkdir(parents=True)
    text = (SHIPPED / "dlib" / "pack.toml").read_text()
    (own / "pack.toml").write_text(text.replace('name = "dlib"', 'name = "own"').replace("accept_at = 0.40", "accept_at = 0.35"))
    (own / "weights").symlink_to(pack.folder)
    return tmp_path / "packs"


@pytest.fixture
def shelf(folder: Path) -> Shelf:
    return Shelf(folder)


def evaluated(shelf: Shelf, folder: Path, name: str, refused: int = 200, /, **changes: object) -> None:
    """Keep an evaluation beside a pack."""
    made: Evaluation = evaluation(refused, **{"pack": name, "pack_sha256": shelf.open(name).sha256} | changes)
    (folder / name).mkdir(exist_ok=True)
    (folder / name / f"evaluation.{made.condition}.json").write_text(made.model_dump_json())


def in_force_toml(folder: Path) -> dict[str, object]:
    return tomllib.loads((folder / "in-force.toml").read_text())


def test_without_a_choice_the_default_pack_is_in_force(shelf: Shelf, folder: Path) -> None:
    assert Shelf().in_force().spec.name == "dlib"
    assert shelf.in_force() == Shelf().in_force()
    (folder / "dlib" / "weights").mkdir(parents=True)
    assert shelf.in_force().folder == folder / "dlib" / "weights"


def test_a_pack_of_known_kinds_is_added_by_its_folder_alone(shelf: Shelf) -> None:
    assert "own" in shelf.names()
    assert "own" not in Shelf().names()
    shelf.open("own").verify()
    with pytest.raises(BadPack, match=r"no model pack 'own'\. Packs: .*dlib"):
        Shelf().open("own")


def test_a_pack_with_the_name_of_one_that_came_along_is_refused(shelf: Shelf, folder: Path) -> None:
    assert "dlib" in shelf.names()
    shelf.open("dlib")
    shutil.copytree(SHIPPED / "dlib", folder / "dlib", ignore=shutil.ignore_patterns("weights"))
    with pytest.raises(BadPack, match="another name"):
        shelf.open("dlib")


def test_a_pack_that_is_no_worse_comes_into_force_and_stays(shelf: Shelf, folder: Path) -> None:
    evaluated(shelf, folder, "dlib", 200)
    evaluated(shelf, folder, "own", 210)
    chosen = shelf.use("own", NOW)
    assert (chosen.because, chosen.against) == ("", ())
    assert Shelf(folder).in_force().spec.name == "own"
    assert in_force_toml(folder) == {
        "pack": "own",
        "sha256": shelf.open("own").sha256,
        "before": "dlib",
        "before_sha256": shelf.open("dlib").sha256,
        "because": "",
        "against": [],
        "at": NOW,
    }


def test_a_worse_pack_is_refused_and_comes_into_force_only_with_a_reason_that_is_kept(shelf: Shelf, folder: Path) -> None:
    evaluated(shelf, folder, "dlib", 200)
    evaluated(shelf, folder, "own", 400)
    with pytest.raises(Refused, match=r"chip: right people refused.*--because"):
        shelf.use("own", NOW)
    assert not (folder / "in-force.toml").exists()
    assert shelf.in_force().spec.name == "dlib"
    shelf.use("own", NOW, "the hall “B” has 其他 lamps")
    kept = in_force_toml(folder)
    assert kept["because"] == "the hall “B” has 其他 lamps"
    assert "right people refused" in str(kept["against"])
    assert Shelf(folder).in_force().spec.name == "own"


@pytest.mark.parametrize("lack", ["nothing", "new", "old", "other pairs", "other version", "other condition"])
def test_packs_that_cannot_be_compared_are_refused(shelf: Shelf, folder: Path, lack: str) -> None:
    if lack != "old":
        evaluated(shelf, folder, "dlib")
    changes: dict[str, dict[str, object]] = {
        "other pairs": {"pairs_sha256": "0" * 64},
        "other version": {"pack_sha256": "0" * 64},
        "other condition": {"condition": "document"},
    }
    if lack != "new":
        evaluated(shelf, folder, "own", 200, **changes.get(lack, {}))
    if lack == "nothing":
        shelf.use("own", NOW)  # the control
        return
    with pytest.raises(Refused):
        shelf.use("own", NOW)


def test_both_kinds_of_portrait_are_compared_where_both_were_evaluated(shelf: Shelf, folder: Path) -> None:
    for name, refused in (("dlib", 200), ("own", 300)):
        evaluated(shelf, folder, name)
        evaluated(shelf, folder, name, refused, condition="document")
    with pytest.raises(Refused, match="document: right people refused"):
        shelf.use("own", NOW)


def test_a_pack_whose_files_are_not_right_never_comes_into_force(shelf: Shelf, folder: Path) -> None:
    shelf.use("own", NOW, "to try")  # the control
    shelf.use("dlib", NOW, "back")
    (folder / "own" / "weights").unlink()
    with pytest.raises(BadPack, match=r"own/weights/detector\.onnx"):
        shelf.use("own", NOW, "to try")
    assert shelf.in_force().spec.name == "dlib"


def test_a_pack_changed_after_it_came_into_force_is_refused_until_it_is_chosen_again(shelf: Shelf, folder: Path) -> None:
    shelf.use("own", NOW, "to try")
    path = folder / "own" / "pack.toml"
    path.write_text(path.read_text().replace("0.35", "0.36"))
    with pytest.raises(BadPack, match="has changed since"):
        shelf.in_force()
    with pytest.raises(Refused, match="cannot be opened"):
        shelf.use("own", NOW)
    shelf.use("own", NOW, "the threshold was meant to change")
    assert shelf.in_force().spec.thresholds.chip.accept_at == 0.36


@pytest.mark.parametrize("text", ["", "pack = 1", 'pack = "own"', "[", "\udcff"])
def test_a_damaged_choice_is_refused_and_mended_by_choosing_again(shelf: Shelf, folder: Path, text: str) -> None:
    (folder / "in-force.toml").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadPack, match="python -m models use"):
        shelf.in_force()
    shelf.use("own", NOW, "mended")
    assert shelf.in_force().spec.name == "own"


def test_a_choice_needs_a_folder_that_is_there_and_a_reason_of_one_line(shelf: Shelf, tmp_path: Path) -> None:
    with pytest.raises(BadPack, match="--packs"):
        Shelf().use("dlib", NOW)
    with pytest.raises(BadPack, match="does not exist"):
        Shelf(tmp_path / "nowhere").in_force()
    with pytest.raises(BadPack, match="one line"):
        shelf.use("own", NOW, "two\nlines")


def test_an_evaluation_that_is_none_is_named(shelf: Shelf, folder: Path) -> None:
    (folder / "own" / "evaluation.chip.json").write_text("{}")
    with pytest.raises(BadPack, match=r"evaluation\.chip\.json"):
        shelf.use("own", NOW)

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from system.simulate import film
from system.simulate.film import SCENES, make_films, portrait_of, shoot, still_of
from system.simulate.people import PORTRAIT_PX
from tests.kiosk.face.conftest import frames


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two films of a second instead of all of them."""
    scenes = {name: replace(SCENES[name], seconds=1) for name in ("right", "nobody")}
    monkeypatch.setattr(film, "SCENES", scenes)


def test_the_same_recipe_makes_the_same_film(short: None, tmp_path: Path) -> None:
    for name in ("one", "two"):
        shoot(film.SCENES["right"], tmp_path / f"{name}.avi")
    assert (tmp_path / "one.avi").read_bytes() == (tmp_path / "two.avi").read_bytes()


def test_films_are_made_once_and_only_those_that_are_missing(short: None, tmp_path: Path) -> None:
    make_films(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nobody.avi", "recipe", "right.avi"]
    made = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    (tmp_path / "nobody.avi").unlink()
    make_films(tmp_path)
    assert (tmp_path / "right.avi").stat().st_mtime_ns == made["right.avi"]
    assert (tmp_path / "nobody.avi").exists()
    (tmp_path / "recipe").write_text("of an older program")
    make_films(tmp_path)
    assert (tmp_path / "right.avi").stat().st_mtime_ns != made["right.avi"]


def test_a_film_moves_and_flickers_and_begins_again_without_a_jump(short: None, tmp_path: Path) -> None:
    shoot(film.SCENES["right"], tmp_path / "film.avi")
    pictures = [picture.astype(int) for picture in frames(tmp_path / "film.avi", film.FPS)]
    steps = [np.abs(one - other).mean() for one, other in zip(pictures, [*pictures[1:], pictures[0]], strict=True)]
    assert min(steps) > 1
    assert steps[-1] < 2 * max(steps[:-1])


def test_a_film_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be written"):
        shoot(SCENES["nobody"], tmp_path / "no" / "folder" / "film.avi")


@pytest.mark.parametrize("who", ["right", "impostor"])
def test_a_portrait_has_about_the_shape_of_a_cards(who: str) -> None:
    height, width = portrait_of(who).shape[:2]
    assert width / height == pytest.approx(PORTRAIT_PX[0] / PORTRAIT_PX[1], abs=0.01)
    assert still_of(who).shape == (film.HEIGHT, film.WIDTH, 3)

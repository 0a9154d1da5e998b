"""`kiosk evaluate` and `kiosk cohort build`, from the command line to the files they leave."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from kiosk.__main__ import app
from kiosk.face import rates
from kiosk.face.calibration import LEAST_PEOPLE, key_beside, load
from models.evaluation import Evaluation
from models.load import Pack
from sync_agent.contract import logs
from sync_agent.contract.kinds import Condition, Scoring
from system.simulate.film import portrait_of, still_of
from tests.models.packs import pack as pack
from tests.shared import shared

run = CliRunner().invoke


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few draws, and logs are left as the tests have them."""
    monkeypatch.setattr(rates, "RESAMPLES", 20)
    monkeypatch.setattr(logs, "set_up", lambda _program: None)


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    for who in ("right", "impostor"):
        cv2.imwrite(str(tmp_path / f"{who}-portrait.png"), portrait_of(who))
        cv2.imwrite(str(tmp_path / f"{who}-photo.png"), still_of(who))
    lines = [
        f"{one}-portrait.png,{other}-photo.png,{int(one == other)}"
        for one in ("right", "impostor")
        for other in ("right", "impostor")
    ]
    path = tmp_path / "pairs.csv"
    path.write_text("\n".join(["img1,img2,same", *lines]))
    return path


def test_an_evaluation_prints_its_table_and_leaves_figures_and_curves(pack: Pack, pairs: Path, tmp_path: Path) -> None:
    out, plot = tmp_path / "figures.json", tmp_path / "curves.html"
    done = run(app, ["evaluate", str(pairs), "--pack", "dlib", "--out", str(out), "--plot", str(plot)])
    assert done.exit_code == 0, done.output
    assert "2 pairs of one person, 2 of strangers, 2 people" in done.stdout
    assert "4 of 4 pictures" in done.stderr and "portrait.png" not in done.output
    figures = Evaluation.model_validate_json(out.read_bytes())
    assert figures.pack_sha256 == pack.sha256 and figures.condition is Condition.CHIP
    assert plot.read_text().startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("given", "status", "says"),
    [
        (["--plot", "curves.gif"], 2, "--plot"),
        (["--pack", "absent"], 1, "absent"),
        (["--calibration", "absent.cal"], 1, "FACE-05"),
        (["--challenge", "absent.csv"], 1, "absent.csv"),
        (["--labels", "absent.csv"], 1, "absent.csv"),
        (["--out", "absent/figures.json"], 1, "absent/figures.json"),
    ],
)
def test_what_cannot_be_done_is_said(
    pack: Pack, pairs: Path, monkeypatch: pytest.MonkeyPatch, given: list[str], status: int, says: str
) -> None:
    monkeypatch.chdir(pairs.parent)
    done = run(app, ["evaluate", str(pairs), *given])
    assert done.exit_code == status and says in done.stderr and "Traceback" not in done.output


def test_a_cohort_without_consents_is_refused(pack: Pack, tmp_path: Path) -> None:
    (tmp_path / "p1").mkdir()
    done = run(app, ["cohort", "build", str(tmp_path), "--out", str(tmp_path / "site.cal")])
    assert done.exit_code == 1 and "consent.csv" in done.stderr
    assert not (tmp_path / "site.cal").exists()


def people(folder: Path, count: int) -> Path:
    """Invented people: each the mean of two of a published set; of each a portrait and two photos, and one without a portrait."""
    faces = shared("faces/orl")
    for number in range(1, count + 1):
        one, other = (number - 1) % 40 + 1, (number * 7 + number // 40 * 3) % 40 + 1
        own = folder / f"p{number:02}"
        own.mkdir(parents=True)
        for shot, name in enumerate(("portrait", "photo1", "photo2"), start=1):
            pictures = [cv2.imread(str(faces / f"s{who}_{shot}.png")) for who in (one, other)]
            mixed = np.mean([picture for picture in pictures if picture is not None], axis=0).astype(np.uint8)
            cv2.imwrite(str(own / f"{name}.png"), mixed)
    (folder / "p01" / "portrait.png").unlink()
    names = "\n".join(f"p{number:02},2026-11-01" for number in range(1, count + 1))
    (folder / "consent.csv").write_text(f"person,date\n{names}\n")
    return folder


@pytest.mark.slow
def test_a_cohort_of_people_who_consented_becomes_a_calibration_that_an_evaluation_uses(
    pack: Pack, pairs: Path, tmp_path: Path
) -> None:
    folder, out = people(tmp_path / "people", LEAST_PEOPLE + 8), tmp_path / "keys" / "site.cal"
    given = ["cohort", "build", str(folder), "--out", str(out), "--fmr", "0.01"]
    done = run(app, given)
    assert done.exit_code == 0, done.output
    assert "p01: 1 x no-portrait (left out)" in done.stdout and done.stdout.count("<- chosen") == 1
    assert "CAUTION: to trust a rate of 0.01" in done.stdout
    made = load(out, key_beside(out), pack.sha256)
    assert made.people >= LEAST_PEOPLE and made.sha256 in done.stdout
    assert {each.scoring for each in made.summary.tried} == set(Scoring)
    used = run(app, ["evaluate", str(pairs), "--calibration", str(out)])
    assert used.exit_code == 0 and f"scoring {made.scoring}, calibration {made.sha256[:12]}" in used.stdout
    other = run(app, ["evaluate", str(pairs), "--calibration", str(out), "--condition", "document"])
    assert other.exit_code == 1 and "is for chip portraits" in other.stderr
    too_few = run(app, [*given[:-1], "0.0001"])
    assert too_few.exit_code == 1 and "are needed" in too_few.stderr

"""An evaluation with the real pack: every picture once, none fatal, and what is reported names none of them."""

from __future__ import annotations

import shutil
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from kiosk.face import plot, rates, report
from kiosk.face.calibration import Calibration, Summary
from kiosk.face.evaluate import FMRS, Measured, NotEnough, evaluate, pair_scores
from kiosk.face.gallery import Gallery, Shot, Side, as_on_a_chip
from kiosk.face.pairs import Pair
from kiosk.face.recogniser import Recogniser
from kiosk.face.scoring import Population, Scale
from models.evaluation import Evaluation
from models.load import Pack
from models.spec import BandSpec
from sync_agent.contract.kinds import Condition, Scoring
from system.simulate.film import portrait_of, still_of
from tests.shared import shared

AT = datetime(2026, 11, 23, tzinfo=UTC)
SECRET = "wang-xiaoming"


@pytest.fixture(autouse=True)
def few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "RESAMPLES", 20)


@pytest.fixture(scope="module")
def recogniser(pack: Pack) -> Recogniser:
    return Recogniser(pack, threads=2)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, a portrait and a photo each, and some that are no picture of anybody."""
    folder = tmp_path_factory.mktemp(SECRET)
    for who in ("right", "impostor"):
        cv2.imwrite(str(folder / f"{who}-portrait.png"), portrait_of(who))
        cv2.imwrite(str(folder / f"{who}-photo.png"), still_of(who))
    cv2.imwrite(str(folder / "nobody.png"), still_of("nobody"))
    (folder / "broken.png").write_bytes(b"not a picture")
    (folder / "empty.png").touch()
    return folder


def pair(folder: Path, portrait: str, photo: str, same: bool) -> Pair:
    return Pair(folder / f"{portrait}.png", folder / f"{photo}.png", same)


def four(folder: Path) -> list[Pair]:
    return [
        pair(folder, f"{one}-portrait", f"{other}-photo", one == other)
        for one in ("right", "impostor")
        for other in ("right", "impostor")
    ]


BROKEN = ("nobody", "broken", "empty", "absent")


def measured_of(pack: Pack, recogniser: Recogniser, pairs: list[Pair], **given: object) -> Measured:
    options = {"condition": Condition.CHIP, "at": AT, "progress": lambda done, of: None} | given
    return evaluate(pack, recogniser, pairs, **options)  # type: ignore[arg-type]  # the tests give each what it takes


def test_every_picture_is_described_once_and_those_that_cannot_be_are_counted(
    pack: Pack, recogniser: Recogniser, pictures: Path
) -> None:
    pairs = four(pictures) + [pair(pictures, "right-portrait", bad, True) for bad in BROKEN]
    told: list[tuple[int, int]] = []
    found = measured_of(pack, recogniser, pairs, progress=lambda done, of: told.append((done, of)))
    assert told == [(number, 8) for number in range(1, 9)]
    assert found.failures == Counter({"no-face": 1, "unknown-format": 1, "empty": 1, "unreadable": 1})
    figures = found.evaluation
    assert (figures.failure_to_acquire.events, figures.failure_to_acquire.trials) == (4, 8)
    assert (figures.genuine, figures.impostor, figures.identities) == (6, 2, 2)
    assert figures.eer == 0 and figures.points == ()
    assert figures.band.frr.events == 4  # those without a face; the two others match
    assert figures.band.frr.trials == 6 and figures.band.fmr.events == 0


def test_portraits_are_made_to_be_what_the_condition_says(pack: Pack, recogniser: Recogniser, pictures: Path) -> None:
    chip, document = (measured_of(pack, recogniser, four(pictures), condition=condition).evaluation for condition in Condition)
    assert chip.condition is Condition.CHIP and document.condition is Condition.DOCUMENT
    assert chip.pairs_sha256 == document.pairs_sha256
    portrait = as_on_a_chip(portrait_of("right"))
    assert portrait.shape == (126, 102, 3)
    assert as_on_a_chip(portrait) is portrait
    assert len(cv2.imencode(".jpg", portrait, [cv2.IMWRITE_JPEG_QUALITY, 50])[1]) < 4000


def test_pairs_that_tell_nothing_are_refused(pack: Pack, recogniser: Recogniser, pictures: Path) -> None:
    strangers = [pair for pair in four(pictures) if not pair.same]
    with pytest.raises(NotEnough, match="1 x unreadable"):
        measured_of(pack, recogniser, [*strangers, pair(pictures, "right-portrait", "absent", True)])
    measured_of(pack, recogniser, four(pictures))  # the control


def test_groups_have_figures_of_their_own(pack: Pack, recogniser: Recogniser, pictures: Path, tmp_path: Path) -> None:
    labels = {pictures / f"{who}-{side}.png": "both" for who in ("right", "impostor") for side in ("portrait", "photo")}
    copy = Path(shutil.copy(pictures / "right-portrait.png", tmp_path / "other.png"))
    pairs = [*four(pictures), Pair(copy, pictures / "right-photo.png", True)]
    groups = measured_of(pack, recogniser, pairs, labels=labels | {copy: "alone"}).evaluation.groups
    assert [(group.name, group.genuine, group.impostor) for group in groups] == [("alone", 0, 0), ("both", 2, 2)]
    assert groups[0].band is None and groups[1].band is not None


def test_the_report_names_no_picture(pack: Pack, recogniser: Recogniser, pictures: Path) -> None:
    pairs = four(pictures) + [pair(pictures, "right-portrait", bad, True) for bad in BROKEN]
    found = measured_of(pack, recogniser, pairs)
    texts = [report.table(found), report.page(found), found.evaluation.model_dump_json(), repr(found)]
    for text in texts:
        assert SECRET not in text and "portrait.png" not in text
    assert SECRET in repr(pairs)  # the control
    assert Evaluation.model_validate_json(texts[2]) == found.evaluation


def test_the_table_says_what_cannot_be_measured_and_what_it_takes(pack: Pack, recogniser: Recogniser, pictures: Path) -> None:
    text = report.table(measured_of(pack, recogniser, four(pictures)))
    assert "FNMR at FMR 0.001                  not measurable: needs 3,000 pairs of strangers, there are 2" in text


def calibration(pack: Pack, portraits: NDArray[np.float32], probes: NDArray[np.float32]) -> Calibration:
    figures = rates.rate(0, 10)
    band = BandSpec(accept_at=0.1, accept_fmr=1e-2, review_at=0.2, review_fmr=0.05, frames=5)
    summary = Summary(photos=40, failures=0, tried=(), fmr=figures, frr=figures)
    population = Population.of(portraits, probes)
    return Calibration(AT, pack.sha256, Condition.CHIP, Scoring.COHORT, 44, population, band, summary, "cd" * 32)


def test_pictures_of_the_calibration_itself_are_noticed(pack: Pack, recogniser: Recogniser, pictures: Path) -> None:
    crowd = np.random.default_rng(3).normal(0, 0.1, (44, 128)).astype(np.float32)
    apart = measured_of(pack, recogniser, four(pictures), calibration=calibration(pack, crowd, crowd))
    assert apart.known == 0
    assert apart.evaluation.scoring is Scoring.COHORT and apart.evaluation.calibration == "cd" * 32
    assert apart.evaluation.band.accept_at == 0.1
    own = recogniser.reference(still_of("right"), Condition.DOCUMENT)
    assert isinstance(own, np.ndarray)
    crowd[7] = own
    found = measured_of(pack, recogniser, four(pictures), calibration=calibration(pack, crowd, crowd))
    assert found.known == 1
    assert "CAUTION: 1 of the pictures" in report.table(found) and "CAUTION" not in report.table(apart)


def test_a_pair_without_a_face_is_infinitely_unlike() -> None:
    shots = [Shot(Path("a"), Side.PORTRAIT), Shot(Path("b"), Side.PROBE)]
    gallery = Gallery({shot: np.full(128, value, np.float32) for shot, value in zip(shots, (0.0, 0.1), strict=True)}, {})
    pairs = [Pair(Path("a"), Path("b"), True), Pair(Path("b"), Path("a"), True), Pair(Path("a"), Path("c"), False)]
    scores = pair_scores(Scale(Scoring.EUCLIDEAN), gallery, pairs)
    assert scores[0] == pytest.approx(0.1 * 128**0.5) and np.isinf(scores[1:]).all()


def test_a_plot_is_a_page_that_needs_nothing_else_or_a_picture(
    pack: Pack, recogniser: Recogniser, pictures: Path, tmp_path: Path
) -> None:
    found = measured_of(pack, recogniser, four(pictures))
    report.write_plot(found, tmp_path / "a.html")
    page = (tmp_path / "a.html").read_text()
    assert page.count("<polyline") > 20 and "<script" not in page and 'src="' not in page and 'href="' not in page
    report.write_plot(found, tmp_path / "a.PNG")
    image = cv2.imread(str(tmp_path / "a.PNG"))
    assert image is not None and image.shape == (plot.HEIGHT, plot.WIDTH, 3)
    assert image.min() < 60 and (image == 255).mean() > 0.8
    with pytest.raises(ValueError, match=r"\.png or \.html"):
        report.write_plot(found, tmp_path / "a.gif")


@pytest.mark.slow
def test_people_of_a_published_set_are_told_apart_and_shuffled_labels_are_not(pack: Pack, recogniser: Recogniser) -> None:
    """The second half is the control: an evaluation that always finds good figures would find them there, too."""
    folder = shared("faces/orl")
    faces = [[folder / f"s{person}_{number}.png" for number in (1, 4, 8)] for person in range(1, 9)]
    every = [(one, other) for one in faces for other in faces]
    pairs = [Pair(one[0], photo, one is other) for one, other in every for photo in other[1:]]
    found = measured_of(pack, recogniser, pairs).evaluation
    assert found.identities == 8 and found.genuine == 16 and found.impostor == 112
    assert found.eer < 0.05 and found.points == () and FMRS[0] == 1e-2
    shuffled = [Pair(one[0], photo, number % 8 == 0) for number, (one, other) in enumerate(every) for photo in other[1:]]
    apart = {path: number for number, path in enumerate({path for pair in shuffled for path in (pair.portrait, pair.probe)})}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kiosk.face.evaluate.people_in", lambda pairs: apart)
        assert 0.3 < measured_of(pack, recogniser, shuffled).evaluation.eer < 0.7

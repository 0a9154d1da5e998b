"""The file of a calibration: what comes back, who can read it, and what is refused by its name."""

from __future__ import annotations

import pickle
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from kiosk.face import calibration
from kiosk.face.calibration import LEAST_PEOPLE, BadCalibration, Calibration, CalibrationFault, Summary, load
from kiosk.face.rates import rate
from kiosk.face.scoring import Population, Scale, Scorer, Vectors
from models.spec import BandSpec
from sync_agent.contract.kinds import Condition, Scoring

PACK = "ab" * 32
BAND = BandSpec(accept_at=-0.1, accept_fmr=1e-2, review_at=0.0, review_fmr=5e-2, frames=5)
SUMMARY = Summary(photos=88, failures=1, tried=(), fmr=rate(37, 3784), frr=rate(2, 88))


def vectors(count: int, seed: int) -> Vectors:
    return np.random.default_rng(seed).normal(0.1, 0.1, (count, 128)).astype(np.float32)


def made(scoring: Scoring = Scoring.COHORT, people: int = LEAST_PEOPLE) -> Calibration:
    population = Population.of(vectors(people, 1), vectors(people, 2))
    at = datetime(2026, 11, 23, tzinfo=UTC)
    return Calibration(at, PACK, Condition.CHIP, scoring, people, population, BAND, SUMMARY)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "site.cal"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return tmp_path / "keys" / "site.key"


@pytest.mark.parametrize("scoring", Scoring)
def test_what_was_written_scores_the_same_when_it_is_read(path: Path, key: Path, scoring: Scoring) -> None:
    written = made(scoring)
    sha256 = calibration.write(written, path, key)
    read = load(path, key, PACK)
    assert read.sha256 == sha256 and len(sha256) == 64
    assert replace(read, population=written.population, sha256="") == written
    one, other = vectors(2, 3)
    of_read, of_written = (Scale(each.scoring, each.population) for each in (read, written))
    assert Scorer(one, of_read)(other) == Scorer(one, of_written)(other)


def test_people_are_kept_only_where_the_scoring_needs_them(path: Path, key: Path) -> None:
    calibration.write(made(Scoring.CENTRED), path, key)
    assert load(path, key, PACK).population.portraits is None
    calibration.write(made(Scoring.COHORT), path, key)
    assert load(path, key, PACK).population.portraits is not None


def test_only_the_owner_can_read_file_and_key(path: Path, key: Path) -> None:
    calibration.write(made(), path, key)
    assert [file.stat().st_mode & 0o777 for file in (path, key)] == [0o600, 0o600]
    assert sorted(each.name for each in path.parent.iterdir()) == ["keys", "site.cal"]  # nothing half-written


def test_nothing_of_a_person_stands_in_the_file(path: Path, key: Path) -> None:
    whole = made()
    calibration.write(whole, path, key)
    assert whole.population.portraits is not None
    planted = whole.population.portraits[0].tobytes()
    assert planted[:16] not in path.read_bytes()
    assert planted[:16] in pickle.dumps(whole)  # the control: it would be found


def test_the_same_calibration_is_never_written_twice_alike(path: Path, key: Path) -> None:
    assert calibration.write(made(), path, key) != calibration.write(made(), path, key)


def fault_of(path: Path, key: Path, pack: str = PACK) -> CalibrationFault:
    with pytest.raises(BadCalibration) as caught:
        load(path, key, pack)
    assert caught.value.code == "FACE-05"
    return caught.value.fault


def test_each_thing_that_can_be_wrong_has_a_name(path: Path, key: Path, tmp_path: Path) -> None:
    assert fault_of(path, key) is CalibrationFault.UNREADABLE
    calibration.write(made(), path, key)
    load(path, key, PACK)  # the control
    assert fault_of(path, key, "cd" * 32) is CalibrationFault.WRONG_PACK
    assert fault_of(path, tmp_path / "gone.key") is CalibrationFault.NO_KEY
    other = tmp_path / "other.key"
    calibration.write(made(), tmp_path / "other.cal", other)
    assert fault_of(path, other) is CalibrationFault.WRONG_KEY
    key.write_bytes(b"short")
    assert fault_of(path, key) is CalibrationFault.NO_KEY


@pytest.mark.parametrize("at", [0, 30, 45, 60, -1])
def test_one_changed_byte_is_noticed(path: Path, key: Path, at: int) -> None:
    calibration.write(made(), path, key)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    assert fault_of(path, key) in {CalibrationFault.DAMAGED, CalibrationFault.WRONG_KEY}


@pytest.mark.parametrize("length", [0, 10, 40, 60, 2000])
def test_a_file_cut_short_is_noticed(path: Path, key: Path, length: int) -> None:
    calibration.write(made(), path, key)
    path.write_bytes(path.read_bytes()[:length])
    assert fault_of(path, key) is CalibrationFault.DAMAGED


def test_a_calibration_of_too_few_is_refused(path: Path, key: Path) -> None:
    calibration.write(made(people=LEAST_PEOPLE - 1), path, key)
    assert fault_of(path, key) is CalibrationFault.TOO_FEW


def test_vectors_that_are_no_numbers_are_refused(path: Path, key: Path) -> None:
    whole = made()
    whole.population.portrait_mean[3] = np.nan
    calibration.write(whole, path, key)
    assert fault_of(path, key) is CalibrationFault.DAMAGED

"""A power cut at every step of writing to the outbox: no record that the product promised is lost, and the chain goes on.

Two negative controls make the harness believable: with ``synchronous=NORMAL`` records are lost, with ``OFF`` files are broken.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from kiosk.uplink import identity
from tests.system.centre import enrolled
from tests.system.power_cut import Cut, Step, cuts, record
from tests.system.promises import broken, promised
from tests.system.writer import seeded

SEED: Final = 20261123


@pytest.fixture(scope="module")
def identity_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The identity of an enrolled device."""
    folder = tmp_path_factory.mktemp("centre")
    with enrolled(folder):
        return folder / "identity"


def broken_after(cut: Cut, folder: Path, who: identity.Identity) -> str:
    """Start the product on what a cut left, and say in a word what is wrong with it."""
    cut.rebuild(folder)
    return broken(promised(cut.said), folder / "outbox.db", who)


def recorded(identity_dir: Path, state_dir: Path, records: int, sittings: int, *weaker: str) -> list[Step]:
    folder = state_dir / "kiosk"
    folder.mkdir()
    program: list[str | Path] = [
        sys.executable,
        "-m",
        "tests.system.writer",
        identity_dir,
        folder / "outbox.db",
        str(records),
        str(sittings),
    ]
    return record([*program, *weaker], folder, state_dir / "trace")


def verdicts(left: Iterator[Cut], state_dir: Path, identity_dir: Path) -> Counter[str]:
    """Count what is wrong after each of some cuts."""
    who, folder = seeded(identity.load(identity_dir)), state_dir / "after"
    folder.mkdir()
    return Counter(broken_after(cut, folder, who) for cut in left)


def test_no_power_cut_at_any_step_loses_a_promised_record(identity_dir: Path, state_dir: Path) -> None:
    steps = recorded(identity_dir, state_dir, 24, 3)
    found = verdicts(cuts(steps, random.Random(SEED)), state_dir, identity_dir)
    assert found == {"": len(steps) + 1}
    assert len(steps) > 200, "the steps of the outbox were seen"


def test_with_less_syncing_the_same_cuts_lose_records_but_break_no_file(identity_dir: Path, state_dir: Path) -> None:
    found = weakened(identity_dir, state_dir, "NORMAL")
    assert found["lost"] > 40
    assert not found["corrupt"]


def test_without_syncing_the_same_cuts_break_files(identity_dir: Path, state_dir: Path) -> None:
    found = weakened(identity_dir, state_dir, "OFF")
    assert found["lost"] > 60
    assert found["corrupt"] > 15


def weakened(identity_dir: Path, state_dir: Path, level: str) -> Counter[str]:
    """Cut at every second step of a program that syncs less."""
    steps = recorded(identity_dir, state_dir, 24, 3, f"synchronous={level}")
    return verdicts(cuts(steps, random.Random(SEED), at=range(0, len(steps), 2)), state_dir, identity_dir)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_no_power_cut_while_the_log_empties_itself_loses_a_promised_record(identity_dir: Path, state_dir: Path) -> None:
    """Three times after every step; so many records that SQLite empties its log into the database by itself, too."""
    steps = recorded(identity_dir, state_dir, 300, 2)
    found = verdicts(cuts(steps, random.Random(SEED), tries=3), state_dir, identity_dir)
    assert found == {"": found.total()}

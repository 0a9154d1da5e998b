"""The demo is what the README promises: it passes, and nothing of it is left running."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import running

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.slow, pytest.mark.root, pytest.mark.pcsc, pytest.mark.broker, pytest.mark.timeout(300)]


def ours_running() -> list[str]:
    state = str(ROOT / ".state" / "demo")
    return [args for args in running().values() if state in args]


def test_the_demo_passes_and_leaves_nothing_running(pcscd_can_run: None) -> None:
    done = subprocess.run([sys.executable, "-m", "system.demo"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    shots = {path.name.split("-", 1)[1] for path in (ROOT / ".state" / "demo" / "shots").glob("*.png")}
    assert {"asked-to-turn.png", "verified.png", "not-passed-2-left.png", "review.png", "photograph.png", "kept.png"} <= shots
    assert ours_running() == []

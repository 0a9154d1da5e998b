"""A figure says truly whether it reaches its goal, and a missing one says why."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.__main__ import line
from tests.bench.result import Result


@pytest.mark.parametrize(
    ("rounds", "goal", "met"),
    [([3.0, 4.0, 3.5], ">=3.5", True), ([3.0, 4.0, 3.4], ">=3.5", False), ([20, 10], "<=15", True), ([20], "<=15", False)],
)
def test_the_median_decides_whether_the_goal_is_met(rounds: list[float], goal: str, met: bool) -> None:
    assert Result.of("decision", rounds, "x", goal=goal, peer="dlib").met is met


def test_a_figure_without_a_goal_is_neither_met_nor_missed() -> None:
    result = Result.of("decision", [2.0, 1.0, 4.0], "ms")
    assert (result.value, result.met, result.rounds, result.spread) == (2.0, None, 3, 1.5)


def test_a_goal_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(ValueError, match="must begin with"):
        Result.of("decision", [1.0], "ms", goal="fast")


def test_a_missing_figure_says_why_in_place_of_a_number() -> None:
    result = Result.missing("decision", "ms", "needs a camera", goal="<=15")
    assert line(result).endswith("needs a camera")
    assert "met" not in line(result)


def test_the_command_refuses_a_benchmark_that_does_not_exist() -> None:
    done = run("nothing")
    assert done.returncode == 2
    assert "There is no benchmark nothing" in done.stderr


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.bench", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )

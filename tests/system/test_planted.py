"""A test in whose logs a personal value turns up fails, however the value got there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.planted import PLANTED, found_in

NUMBER = next(value for value, whose in PLANTED.items() if whose.startswith("number"))
NAME = next(value for value, whose in PLANTED.items() if whose.startswith("name"))

INNER = """
import logging, subprocess, sys
import pytest, structlog

VALUES = {values!r}

@pytest.fixture(params=list(VALUES))
def value(request):
    return VALUES[request.param]

def test_log(value):
    logging.getLogger('x').warning('%s', value)

def test_event(value):
    structlog.get_logger().info('card.read', value=value)

def test_standard_error(value):
    sys.stderr.write(value)

def test_child(value):
    subprocess.run(['echo', value], check=True)

def test_log_file(value, state_dir):
    (state_dir / 'deep').mkdir()
    (state_dir / 'deep' / 'a.log').write_text(value)
"""


def test_a_personal_value_fails_the_test_that_let_it_out(state_dir: Path) -> None:
    values = {"number": NUMBER, "name": NAME, "harmless": "card.read ms=12"}
    (state_dir / "test_inner.py").write_text(INNER.format(values=values))
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.planted", "-p", "tests.folders", "-rA", "--tb=no", "--show-capture=no"],
        cwd=state_dir,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    said = {tuple(line.split(" - ")[0].split("::")) for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))}
    caught = {(test.removesuffix("]").partition("[")[2], test.partition("[")[0]) for _, test in said}
    everywhere = {"test_log", "test_event", "test_standard_error", "test_child", "test_log_file"}
    assert caught == {(value, test) for value in ("number", "name") for test in everywhere}, done.stderr
    assert done.stdout.count("[harmless]") == len(everywhere)


def test_a_finding_names_whose_value_it_was_and_not_the_value() -> None:
    assert found_in(f"a {NUMBER} b") == [PLANTED[NUMBER]]
    assert found_in(json.dumps({"name": NAME})) == [PLANTED[NAME]]
    assert NUMBER not in PLANTED[NUMBER]
    assert found_in("nothing") == []

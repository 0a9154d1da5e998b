"""The personal values that tests feed in, and the plugin that fails a test in whose logs one of them turns up.

Everyone in the tests is one of `system.simulate.people`. What a test writes to its logs, standard output and standard error,
its child processes included, is searched after it; so are the log files below a `state_dir`.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

from system.simulate.people import PEOPLE

_SHORTEST: Final = 3
"""Shorter values, a name of two characters say, turn up by chance."""

PLANTED: Final = {
    value: f"{what} of {who}"
    for who, person in PEOPLE.items()
    for what, value in (
        ("name", person.name),
        ("Latin name", person.latin_name),
        ("number", person.number),
        ("address", person.address),
        ("permit", person.permit),
    )
    if len(value) >= _SHORTEST
}
"""Each value that no log may hold, and whose it is."""


def found_in(text: str) -> list[str]:
    """Return whose and which planted values stand in a text, written plainly or escaped as JSON does."""
    return sorted({whose for value, whose in PLANTED.items() if value in text or json.dumps(value)[1:-1] in text})


def found_below(folder: Path) -> Iterator[str]:
    """Yield each log file below a folder that holds planted values, and which."""
    for path in sorted(folder.rglob("*.log")):
        for whose in found_in(path.read_text(errors="replace")):
            yield f"{path.relative_to(folder)}: {whose}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    told = found_in(report.capstdout + report.capstderr + report.caplog)
    if told and report.passed:
        report.outcome = "failed"
        report.longrepr = f"Personal values stand in what this test logged or printed: {', '.join(told)}."
    return report

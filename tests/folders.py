"""Fixtures: folders for what a test and its programs write, taken away afterwards, their logs searched for personal values."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.planted import found_below


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """The state folder of one test."""
    with _folder() as folder:
        yield folder


@pytest.fixture(scope="session")
def session_dir() -> Iterator[Path]:
    """The state folder of what lives as long as the whole run."""
    with _folder() as folder:
        yield folder


@contextmanager
def _folder() -> Iterator[Path]:
    """A new folder with a name short enough for sockets, which services of other users can pass through."""
    folder = Path(tempfile.mkdtemp(prefix="renzheng-"))
    folder.chmod(0o711)
    try:
        yield folder
        told = list(found_below(folder))
    finally:
        shutil.rmtree(folder)
    if told:
        pytest.fail(f"Personal values stand in log files: {', '.join(told)}.", pytrace=False)

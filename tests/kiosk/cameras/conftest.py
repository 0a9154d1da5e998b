from __future__ import annotations

from pathlib import Path

import pytest

from tests.kiosk.cameras.watching import COLOURS, film_of


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small films of one colour each, 0.2 s long."""
    folder = tmp_path_factory.mktemp("films")
    for name, colour in COLOURS.items():
        film_of(folder / f"{name}.avi", colour)
    return folder

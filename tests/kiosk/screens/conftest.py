"""A stage without a display, and a clock that stands still until it is told to go on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kiosk.screens.fonts import Fonts
from kiosk.screens.stage import Stage


class StillClock:
    """Monotonic seconds that only the test moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def go_on(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def headless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")


@pytest.fixture
def stage(headless: None, clock: StillClock) -> Iterator[Stage]:
    stage = Stage(monotonic=clock)
    stage.open()
    yield stage
    stage.close()


@pytest.fixture(scope="session")
def fonts() -> Fonts:
    return Fonts()

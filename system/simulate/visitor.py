"""Whoever stands before the kiosk's camera and turns their head as the page asks: another film for each movement."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from system.simulate.pilot import Pilot, Seen
from system.simulate.world import Places, change_film

TURNS: Final = {"face.ask.left": "right-turns-left", "face.ask.right": "right-turns-right"}
"""The film of the right person that answers each prompt. Each comes back to straight ahead by itself, as a head does: a cut from
one picture to another is what the liveness test looks for."""
LOOKS_S: Final = 0.02
"""So often the person looks at the page, seconds."""


def be_the_person(
    places: Places, films: Path, pilot: Pilot, *, within_s: float = 40.0, asked: Callable[[Seen], None] = lambda _: None
) -> None:
    """Be the right person, before the camera already, until the comparison is over: turn as asked.

    Args:
        places: of the installation.
        films: folder of the films.
        pilot: what the person sees of the page.
        within_s: how long it may take.
        asked: told of the page with each prompt, before it is answered.

    Raises:
        PilotRefused: there is no comparison.
        TimeoutError: it did not end in time.
    """
    until, film = time.monotonic() + within_s, "right"
    seen = pilot.wait("Face", timeout_s=within_s)
    while seen.page == "Face":
        wanted = next((TURNS[text] for text in seen.texts if text in TURNS), film)
        if wanted != film:
            asked(seen)
            change_film(places, films, wanted)
            film = wanted
        if time.monotonic() > until:
            raise TimeoutError(f"the comparison did not end within {within_s:g} s; on the screen: {seen}")
        time.sleep(LOOKS_S)
        seen = pilot.page()

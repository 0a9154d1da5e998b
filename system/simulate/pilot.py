"""The hand of a visitor: talks to the pilot socket of a running kiosk, waits for pages and presses what is on them."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_MARGIN_S = 10.0
"""How much longer than a wait itself its answer may take."""


class PilotRefused(Exception):
    """The kiosk did not do what was asked of it; the text says why and what is on the screen."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What is on the screen; nothing personal.

    Attributes:
        page: name of the page's class, or "" after a wipe.
        language: "zh", "bo" or "en".
        texts: keys of the messages, in the order in which they stand.
        touches: what can be touched, and whether it is enabled.
        lit: the words of the receipt that are lit.
    """

    page: str
    language: str
    texts: tuple[str, ...]
    touches: Mapping[str, bool]
    lit: tuple[str, ...]


class Pilot:
    """One connection to one kiosk; used as a context."""

    def __init__(self, path: Path) -> None:
        """Connect.

        Args:
            path: of the kiosk's pilot socket.

        Raises:
            OSError: nobody listens there.
        """
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(_MARGIN_S)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._lines.close()
        self._socket.close()

    def page(self) -> Seen:
        """Return what is on the screen."""
        return self._ask({"do": "page"})

    def press(self, touch: str) -> Seen:
        """Press a control, for instance "agree", or a language, for instance "en".

        Raises:
            PilotRefused: it is not there or not enabled.
        """
        return self._ask({"do": "press", "touch": touch})

    def press_at(self, x: float, y: float) -> Seen:
        """Press a place, px from the top left, whether anything is there or not."""
        return self._ask({"do": "press", "x": x, "y": y})

    def shot(self, path: Path) -> Seen:
        """Have the kiosk write what is on its screen as a PNG.

        Raises:
            PilotRefused: it could not be written.
        """
        return self._ask({"do": "shot", "path": str(path)})

    def wait(self, page: str = "", *, text: str = "", lit: str = "", timeout_s: float = 10.0) -> Seen:
        """Wait until a page, a text or a lit word (all that are given) is shown.

        Raises:
            PilotRefused: it did not come in time.
        """
        return self._ask({"do": "wait", "page": page, "text": text, "lit": lit, "timeout": timeout_s}, timeout_s)

    def _ask(self, order: dict[str, Any], patience_s: float = 0.0) -> Seen:
        self._socket.settimeout(patience_s + _MARGIN_S)
        self._socket.sendall(json.dumps(order).encode() + b"\n")
        line = self._lines.readline()
        if not line:
            raise PilotRefused(f"the kiosk hung up before it answered {order['do']!r}")
        answer = json.loads(line)
        seen = Seen(answer["page"], answer["language"], tuple(answer["texts"]), answer["touches"], tuple(answer["lit"]))
        if not answer["ok"]:
            raise PilotRefused(f"{answer['why']}; on the screen: {seen}")
        return seen

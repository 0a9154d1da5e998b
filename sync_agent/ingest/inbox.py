"""The inbox: messages heard and not acknowledged yet, between the broker's thread and the stream's; full when the stream lags."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

MOST_LETTERS: Final = 4000
MOST_BYTES: Final = 64 * 1024 * 1024
"""At either the inbox is full: nothing more is read from the broker until half of it has been taken."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message that is not acknowledged yet.

    Attributes:
        connection: counts connections; packet numbers mean something only within one.
        packet: the broker's packet number.
        shard: the shard whose session heard it; None where it came another way than through the broker.
    """

    connection: int
    packet: int
    qos: int
    topic: str
    payload: bytes
    received_at: datetime
    shard: int | None = None


class Inbox:
    """Letters in the order they came. For any thread."""

    def __init__(self, when_roomy: Callable[[], None], *, letters: int = MOST_LETTERS, size: int = MOST_BYTES) -> None:
        """Make an empty one.

        Args:
            when_roomy: called when it was full and has room again, in the thread that took letters out.
            letters: full with so many letters,
            size: or with so many bytes.
        """
        self._when_roomy = when_roomy
        self._most, self._most_bytes = letters, size
        self._letters: deque[Letter] = deque()
        self._bytes = 0
        self._is_full = False
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._letters)

    @property
    def is_full(self) -> bool:
        """Whether nothing more is to be put in for now."""
        return self._is_full

    def put(self, letters: Sequence[Letter]) -> None:
        """Put letters in; they are taken even when it is full."""
        with self._changed:
            self._letters.extend(letters)
            self._bytes += sum(len(letter.payload) for letter in letters)
            if len(self._letters) >= self._most or self._bytes >= self._most_bytes:
                self._is_full = True
            self._changed.notify()

    def gather(self, most: int, within_s: float) -> list[Letter]:
        """Take out what is there, at most so many letters; wait for the first one, and for no other."""
        with self._changed:
            self._changed.wait_for(lambda: self._letters, within_s)
            batch = [self._letters.popleft() for _ in range(min(most, len(self._letters)))]
            self._bytes -= sum(len(letter.payload) for letter in batch)
            is_roomy = self._look()
        if is_roomy:
            self._when_roomy()
        return batch

    def forget(self, shard: int, *, but: int | None = None) -> None:
        """Drop the letters of a shard but for those of one connection: the broker gives them again, to whoever holds it then."""
        with self._changed:
            kept = [letter for letter in self._letters if letter.shard != shard or letter.connection == but]
            self._letters = deque(kept)
            self._bytes = sum(len(letter.payload) for letter in kept)
            is_roomy = self._look()
        if is_roomy:
            self._when_roomy()

    def _look(self) -> bool:
        """Say whether it was full and is now half empty."""
        is_roomy = self._is_full and 2 * len(self._letters) <= self._most and 2 * self._bytes <= self._most_bytes
        if is_roomy:
            self._is_full = False
        return is_roomy

"""The inbox is full by count or by size, has room again when half of it is taken, and drops what will come again."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from sync_agent.ingest.inbox import Inbox, Letter

NOW = datetime(2026, 3, 2, 4, 0, tzinfo=UTC)


def letter(number: int, *, size: int = 1, shard: int = 7, connection: int = 1) -> Letter:
    return Letter(connection, number, 1, "topic", bytes(size), NOW, shard)


def packets(found: list[Letter]) -> list[int]:
    return [one.packet for one in found]


@pytest.mark.parametrize(("letters", "size"), [(4, 10**6), (10**6, 4)])
def test_a_full_inbox_has_room_again_when_half_of_it_is_taken(letters: int, size: int) -> None:
    told: list[bool] = []
    inbox = Inbox(lambda: told.append(inbox.is_full), letters=letters, size=size)
    for number in range(4):
        assert not inbox.is_full
        inbox.put([letter(number)])
    assert inbox.is_full
    assert packets(inbox.gather(1, 0)) == [0]
    assert (inbox.is_full, told) == (True, [])
    assert packets(inbox.gather(1, 0)) == [1]
    assert (inbox.is_full, told) == (False, [False])


def test_a_batch_is_what_is_there() -> None:
    inbox = Inbox(lambda: None)
    assert inbox.gather(10, 0) == []
    for number in range(5):
        inbox.put([letter(number)])
    assert packets(inbox.gather(3, 60.0)) == [0, 1, 2]
    assert packets(inbox.gather(10, 60.0)) == [3, 4]


def test_who_waits_is_woken_by_the_first_letter() -> None:
    inbox, found = Inbox(lambda: None), []
    waiting = threading.Thread(target=lambda: found.extend(inbox.gather(10, 60.0)))
    waiting.start()
    inbox.put([letter(1)])
    waiting.join(10.0)
    assert packets(found) == [1]


def test_the_letters_of_a_shard_are_dropped_but_for_those_of_its_new_connection() -> None:
    told: list[bool] = []
    inbox = Inbox(lambda: told.append(True), letters=4)
    for one in (letter(1), letter(2, shard=8), letter(3, connection=2), letter(4)):
        inbox.put([one])
    inbox.forget(7, but=2)
    assert (inbox.is_full, told) == (False, [True])
    assert packets(inbox.gather(10, 0)) == [2, 3]

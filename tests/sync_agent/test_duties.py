"""Duties are done at the start and at their times, and one that fails disturbs neither itself later nor the others."""

from __future__ import annotations

import queue
import threading

import pytest

from sync_agent import duties
from sync_agent.duties import Duty, on_duty

WITHIN_S = 10.0


def test_each_duty_is_done_at_the_start_and_again_when_due() -> None:
    done: queue.SimpleQueue[str] = queue.SimpleQueue()
    seldom, often = Duty("seldom", 3600.0, lambda: done.put("seldom")), Duty("often", 0.01, lambda: done.put("often"))
    with on_duty([seldom, often]):
        told = [done.get(timeout=WITHIN_S) for _ in range(5)]
    assert told == ["seldom", "often", "often", "often", "often"]


def test_a_duty_that_fails_is_tried_again_and_holds_up_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duties, "RETRY_S", 0.01)
    tries: list[int] = []
    done: queue.SimpleQueue[str] = queue.SimpleQueue()

    def fails_at_first() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("no")
        done.put("second try")

    with on_duty([Duty("fails", 3600.0, fails_at_first), Duty("other", 3600.0, lambda: done.put("other"))]):
        assert {done.get(timeout=WITHIN_S), done.get(timeout=WITHIN_S)} == {"other", "second try"}


def test_nothing_is_done_after_the_block() -> None:
    begun = threading.Event()
    with on_duty([Duty("long", 3600.0, begun.set)]):
        assert begun.wait(WITHIN_S)
    assert not [thread for thread in threading.enumerate() if thread.name == "duties"]

"""Logs hold what happened and where, never the text of an exception."""

from __future__ import annotations

import pytest

from sync_agent.contract.kinds import CardHolder
from sync_agent.contract.logs import where_it_failed

PLANTED = "540102198803150011"


def fail() -> None:
    try:
        raise ValueError(f"number {PLANTED} is wrong")
    except ValueError as err:
        raise RuntimeError(PLANTED) from err


def test_a_failure_is_logged_by_kind_and_place_without_its_text() -> None:
    with pytest.raises(RuntimeError) as caught:
        fail()
    assert PLANTED in str(caught.value)
    event = where_it_failed(None, "error", {"event": "x", "exc_info": caught.value})
    assert PLANTED not in str(event)
    assert [line.split(" at ")[0] for line in event["failure"]] == ["RuntimeError", "ValueError"]
    assert "fail" in event["failure"][0]


def test_an_event_without_failure_is_left_alone() -> None:
    assert where_it_failed(None, "info", {"event": "x", "ms": 3}) == {"event": "x", "ms": 3}


def test_a_model_that_refuses_a_value_does_not_repeat_it() -> None:
    with pytest.raises(ValueError, match="validation error") as caught:
        CardHolder.model_validate({"name": PLANTED})
    assert PLANTED not in str(caught.value)

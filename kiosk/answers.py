"""What the visitor is told of their record: from its progress and the comparison's outcome to one result page."""

from __future__ import annotations

from typing import Final

from kiosk.face.result import LivenessCause
from kiosk.screens.pages import Result, Sign, Text, Touch, Word
from kiosk.uplink.outbox import Filed, Progress
from kiosk.uplink.store import State
from sync_agent.contract import slip
from sync_agent.contract.kinds import Comparison, Outcome
from sync_agent.contract.receipts import Standing

RECEIVED = frozenset({Word.RECEIVED})
_TOLD: Final = frozenset(
    {
        LivenessCause.LATE,
        LivenessCause.OTHER_SIDE,
        LivenessCause.LOST,
        LivenessCause.TWO_FACES,
        LivenessCause.JUMPED,
    }
)
"""What a person can do something about."""


def result(progress: Progress, filed: Filed, outcome: Outcome, who: Text, *, is_connected: bool) -> Result:
    """Return the page for a record: three words, none before it is true, and what to do next.

    Args:
        progress: how far the record has come by now.
        filed: the record, with the number the visitor may ask by.
        outcome: how the comparison ended on the device.
        who: masked name and number.
        is_connected: whether the kiosk reaches the broker; without, the visitor reads M-70.
    """
    asked, number = Text(f"result.{outcome}.headline"), filed.number
    match progress.state, progress.standing:
        case State.ANSWERED, Standing.ACCEPTED:
            words = RECEIVED | {Word.ACCEPTED} | ({Word.EFFECTIVE} if progress.effective_from else set())
            return _page(Sign.TICK, Text("result.verified.headline"), "result.verified.advice", who, words, number)
        case State.ANSWERED, Standing.REFUSED:
            advice = f"result.refused.{progress.code or 'unknown'}"
            return _page(Sign.CROSS, Text("result.refused.headline"), advice, who, RECEIVED, number)
        case State.ANSWERED, Standing.IN_REVIEW:
            return _page(Sign.PERSON, asked, "result.review.advice", who, RECEIVED, progress.case or number)
        case State.REJECTED, _:
            return _page(Sign.WARNING, Text("result.rejected.headline"), "result.rejected.advice", who, frozenset(), number)
        case State.RECEIVED, _:
            return _page(Sign.CLOCK, asked, "result.received.advice", who, RECEIVED, number)
        case _:
            advice = "result.waiting.advice" if is_connected else "result.kept.advice"
            return _page(Sign.CLOCK, asked, advice, who, frozenset(), number)


def not_passed(comparison: Comparison, left: int) -> Result:
    """Return the page after a try that did not pass (M-15): what to change, how many tries are left, and a person (P16).

    Whoever holds up a picture is not told what gave it away; whoever could do better is told how.

    Args:
        comparison: the try.
        left: how many more there are.
    """
    outcome = comparison.outcome
    is_told = outcome is Outcome.NOT_LIVE and comparison.quality in _TOLD
    advice = f"result.not-live.{comparison.quality}" if is_told else f"result.{outcome}.advice"
    return Result(
        sign=Sign.CROSS,
        headline=Text(f"result.{outcome}.headline"),
        advice=Text(advice, {"n": str(left)}),
        offers=(Touch.AGAIN, Touch.OTHER_WAY, Touch.HELP, Touch.LEAVE),
    )


def slip_standing(progress: Progress) -> slip.Standing:
    """Return what the slip says of the record: no more than the three words do."""
    match progress.state, progress.standing:
        case State.ANSWERED, Standing.ACCEPTED:
            return slip.Standing.EFFECTIVE if progress.effective_from else slip.Standing.ACCEPTED
        case State.ANSWERED, Standing.REFUSED:
            return slip.Standing.REFUSED
        case State.ANSWERED, Standing.IN_REVIEW:
            return slip.Standing.IN_REVIEW
        case State.REJECTED, _:
            return slip.Standing.REJECTED
        case State.RECEIVED, _:
            return slip.Standing.RECEIVED
        case _:
            return slip.Standing.KEPT


def _page(sign: Sign, headline: Text, advice: str, who: Text, words: frozenset[Word], number: str) -> Result:
    return Result(
        sign=sign,
        headline=headline,
        advice=Text(advice, {"id": number}),
        who=who,
        words=words,
        number=number,
        offers=(Touch.DONE,),
    )

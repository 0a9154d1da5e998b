"""What the visitor is told of their record: from its progress and the comparison's outcome to one result page."""

from __future__ import annotations

from kiosk.screens.pages import Result, Sign, Text, Touch, Word
from kiosk.uplink.outbox import Filed, Progress, State
from sync_agent.contract.kinds import Outcome
from sync_agent.contract.receipts import Standing

RECEIVED = frozenset({Word.RECEIVED})


def result(progress: Progress, filed: Filed, outcome: Outcome, who: Text) -> Result:
    """Return the page for a record: three words, none before it is true, and what to do next.

    Args:
        progress: how far the record has come by now.
        filed: the record, with the number the visitor may ask by.
        outcome: how the comparison ended on the device.
        who: masked name and number.
    """
    match progress.state, progress.standing:
        case State.ANSWERED, Standing.ACCEPTED:
            words = RECEIVED | {Word.ACCEPTED} | ({Word.EFFECTIVE} if progress.effective_from else set())
            return _page(Sign.TICK, "result.verified", "result.verified.advice", who, words, filed.number)
        case State.ANSWERED, Standing.REFUSED:
            code = progress.code.value if progress.code else "unknown"
            return _page(Sign.CROSS, "result.refused", f"result.refused.{code}", who, RECEIVED, filed.number)
        case State.ANSWERED, Standing.IN_REVIEW:
            return _reviewed(outcome, who, RECEIVED, progress.case or filed.number)
        case State.REJECTED, _:
            return _page(Sign.WARNING, "result.rejected", "result.rejected.advice", who, frozenset(), filed.number)
        case State.RECEIVED, _:
            return _page(*_short(outcome), "result.received.advice", who, RECEIVED, filed.number)
        case _:
            return _page(*_short(outcome), "result.kept", who, frozenset(), filed.number)


def _short(outcome: Outcome) -> tuple[Sign, str]:
    """Return sign and headline while the centre has not answered: what the device itself knows."""
    if outcome is Outcome.MATCH:
        return Sign.CLOCK, "result.matched"
    return Sign.PERSON, f"result.{outcome}.headline"


def _reviewed(outcome: Outcome, who: Text, words: frozenset[Word], case: str) -> Result:
    return _page(Sign.PERSON, f"result.{outcome}.headline", "result.review.advice", who, words, case)


def _page(sign: Sign, headline: str, advice: str, who: Text, words: frozenset[Word], number: str) -> Result:
    return Result(
        sign=sign,
        headline=Text(headline),
        advice=Text(advice, {"id": number}),
        who=who,
        words=words,
        number=number,
        offers=(Touch.DONE,),
    )
